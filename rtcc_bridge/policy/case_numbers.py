"""Case numbers, written so that two that look the same are the same: holds, dispositions and packets go by them."""

import unicodedata
from typing import Final

_MINUS_SIGN: Final = "\N{MINUS SIGN}"


def case_number(written: str) -> str:
    """The number without what nobody sees: one kind of hyphen, single spaces, no character that only steers others.

    Letters stay as they are, since dispatch's own number is told on as it came.
    """
    shown = unicodedata.normalize("NFKC", written)
    kept = (
        "-" if unicodedata.category(one) == "Pd" or one == _MINUS_SIGN else one
        for one in shown
        if unicodedata.category(one) not in {"Cf", "Co", "Cn"}
    )
    return " ".join("".join(kept).split())
