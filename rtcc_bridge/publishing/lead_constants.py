"""What every lead says of itself, in every format (P15), and the check at the last door that it does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from rtcc_bridge.errors import IntegrityError

Notice = Literal[
    "Investigative lead only. This is not a positive identification and not probable cause for arrest. "
    "It needs corroboration by independent evidence, and no photo line-up may rest on it alone."
]
NOTICE: Final[Notice] = get_args(Notice)[0]

LEAD_CONSTANTS: Final[Mapping[str, str | bool]] = MappingProxyType(
    {
        "classification": "INVESTIGATIVE_LEAD_ONLY",
        "positiveIdentification": False,
        "probableCause": False,
        "corroborationRequired": True,
        "lineupOnThisAlone": False,
        "notice": NOTICE,
    }
)


def require_lead_constants(event_type: str, data: Mapping[str, Any]) -> None:
    """Raises IntegrityError when data about a lead lacks a constant or gives it another value."""
    if not (event_type.startswith(("lead.", "floor.lead")) or "leadId" in data):
        return
    wrong = [name for name, constant in LEAD_CONSTANTS.items() if not _is(data.get(name), constant)]
    if wrong:
        raise IntegrityError(f"an event of type {event_type} would leave without its constants: {', '.join(wrong)}")


def _is(value: object, constant: object) -> bool:
    """0 is not False here: what reads the event may tell them apart."""
    return type(value) is type(constant) and value == constant
