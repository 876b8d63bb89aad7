"""The reason that a person has to state for an act."""

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS


def stated(reason: str, act: str) -> str:
    """The reason without surrounding space. act: what needs one, as the begin of a sentence.

    Raises InvalidInputError when there is none, or more than can be kept.
    """
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise InvalidInputError(
            f"{act} needs a reason of at most {MAX_REASON_CHARACTERS} characters: state it.", "fields"
        )
    return text
