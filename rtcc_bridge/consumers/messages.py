"""Wire models of what dispatch, the alerting systems and the record system send (`docs/asyncapi.json`).

Bounds are strict, unknown fields are kept: the models check a document, the document itself travels on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from rtcc_bridge.consumers.timestamps import Moment, parse_rfc3339
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.threat import MessageStatus, MessageType
from rtcc_bridge.storage.picture_store import PICTURE_NAME

IncidentId: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
ShortText: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=256)]
LongText: TypeAlias = Annotated[str, StringConstraints(max_length=2048)]
IncidentType: TypeAlias = Annotated[
    str, StringConstraints(to_upper=True, strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
]
_LONGEST_IDENTIFIER: Final = 240
"""Leaves room for `threat:` before it."""
CapIdentifier: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^[^\s,<&]{{1,{_LONGEST_IDENTIFIER}}}$")]
"""CAP 1.2, section 3.2.1: no spaces, commas or restricted characters."""

_MOST_PROBLEMS: Final = 5


class WireModel(BaseModel):
    """A document from outside: typed strictly, other fields kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class Location(WireModel):
    """Where it happens."""

    text: LongText | None = None
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)


class IncidentMessage(WireModel):
    """`data` of an incident event. Only the id and the time are needed: an event may be about a few fields."""

    incident_id: IncidentId = Field(alias="incidentId")
    incident_type: IncidentType | None = Field(None, alias="incidentTypeCommonRegistryText")
    status: ShortText | None = Field(None, alias="incidentStatusCommonRegistryText")
    priority: int | None = Field(None, alias="incidentCommonPriorityNumber", ge=0, le=10)
    report_number_type: ShortText | None = Field(None, alias="reportNumberType")
    agency_id: ShortText | None = Field(None, alias="agencyId")
    location: Location | None = None
    opened_at: Moment | None = Field(None, alias="openedAt")
    last_update_at: Moment = Field(alias="lastUpdateTimeStamp")
    case_number: ShortText | None = Field(None, alias="caseNumber")
    merged_into: IncidentId | None = Field(None, alias="mergedInto")
    exercise: bool | None = None
    notes: list[Any] | None = Field(None, max_length=1000)


def _as_list(value: Any) -> Any:
    """One or many: CAP allows an element to be repeated."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _printable(text: str) -> str:
    if not text.isprintable():
        message = "has characters that cannot be printed"
        raise ValueError(message)
    return text


def _words(value: Any) -> Any:
    """CAP writes lists as text with spaces between; JSON senders send arrays."""
    if value is None:
        return []
    return value.split() if isinstance(value, str) else value


class AreaMessage(WireModel):
    """Where a threat is (CAP 1.2, section 3.2.4); shapes and codes are kept as they are."""

    description: LongText | None = Field(None, alias="areaDesc")


class InfoMessage(WireModel):
    """One `info` block (CAP 1.2, section 3.2.2). The codes are CAP's; others are refused."""

    category: Annotated[
        list[
            Annotated[
                str,
                StringConstraints(
                    pattern="^(Geo|Met|Safety|Security|Rescue|Fire|Health|Env|Transport|Infra|CBRNE|Other)$"
                ),
            ]
        ],
        BeforeValidator(_as_list),
    ] = Field(min_length=1, max_length=12)
    event: ShortText
    urgency: str = Field(pattern="^(Immediate|Expected|Future|Past|Unknown)$")
    severity: str = Field(pattern="^(Extreme|Severe|Moderate|Minor|Unknown)$")
    certainty: str = Field(pattern="^(Observed|Likely|Possible|Unlikely|Unknown)$")
    expires: Moment | None = None
    headline: LongText | None = None
    area: Annotated[list[AreaMessage | LongText], BeforeValidator(_as_list)] = Field(
        default_factory=list, max_length=100
    )


class ThreatMessage(WireModel):
    """`data` of a threat event. `references` and `incidents` may be arrays or text with spaces between."""

    identifier: CapIdentifier
    sender: ShortText
    sent: Moment
    status: Annotated[MessageStatus, Field(strict=False)]
    message_type: Annotated[MessageType, Field(strict=False)] = Field(alias="msgType")
    references: Annotated[list[ShortText], BeforeValidator(_words)] = Field(default_factory=list, max_length=200)
    incidents: Annotated[list[IncidentId], BeforeValidator(_words)] = Field(default_factory=list, max_length=100)
    info: Annotated[list[InfoMessage], BeforeValidator(_as_list)] = Field(default_factory=list, max_length=20)


SubjectRef: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True), AfterValidator(_printable)
]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Stated: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=1024, strip_whitespace=True)]


class BookingMessage(WireModel):
    """`data` of a booking: one picture of a person, which lies in the store of pictures before the event is sent.

    There is no booking without provenance, lawful basis, retention date and status (P06).
    """

    subject_ref: SubjectRef = Field(alias="subjectRef", description="The agency's own reference of the person.")
    picture: str = Field(pattern=f"^{PICTURE_NAME}$", description="Its name in the store of `records.pictures_url`.")
    picture_sha256: Sha256 = Field(alias="pictureSha256", description="Of the picture's bytes, in hex.")
    provenance: Stated = Field(description="Where the picture comes from.")
    lawful_basis: Stated = Field(alias="lawfulBasis", description="On what basis the agency holds it.")
    retain_until: str = Field(
        alias="retainUntil", max_length=64, description="A date (its end, UTC) or a time with its offset, ISO 8601."
    )
    taken_on: str | None = Field(
        None,
        alias="takenOn",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="The day on which the picture was taken, ISO 8601; examiners see it beside the picture.",
    )
    adult: bool = Field(description="Whether the person was an adult. The picture of a minor is not enrolled.")


class RemovalMessage(WireModel):
    """`data` of a sealing or expungement order: a person with all pictures, or one picture."""

    subject_ref: SubjectRef = Field(alias="subjectRef", description="The agency's own reference of the person.")
    picture_sha256: Sha256 | None = Field(
        None, alias="pictureSha256", description="Only the picture with these bytes; without it the whole person."
    )
    order: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] = Field(
        description="The order's number or its legal basis, for the record. No name of a person."
    )


Model = TypeVar("Model", bound=WireModel)


def validated(model: type[Model], data: Any) -> Model:
    """The document as a model. Raises InvalidInputError that names the fields, never their values."""
    if not isinstance(data, Mapping):
        raise InvalidInputError("data has to be a JSON object", reason="invalid_fields")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidInputError(_described(error), reason="invalid_fields") from error


def _described(error: ValidationError) -> str:
    details = error.errors(include_input=False, include_url=False, include_context=False)
    named = [f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}" for detail in details[:_MOST_PROBLEMS]]
    more = len(details) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def referenced_identifiers(references: list[str]) -> tuple[str, ...]:
    """The identifiers that `references` names, the earliest message first where it says when each was sent.

    CAP writes each as `sender,identifier,sent`; a bare identifier is accepted too. Raises InvalidInputError.
    """
    dated: dict[str, datetime | None] = {}
    for reference in references:
        parts = reference.split(",")
        if len(parts) not in {1, 3} or not all(parts):
            raise InvalidInputError("references: each is sender,identifier,sent or an identifier", "invalid_fields")
        name = parts[0] if len(parts) == 1 else parts[1]
        if len(name) > _LONGEST_IDENTIFIER:
            message = f"references: an identifier has at most {_LONGEST_IDENTIFIER} characters"
            raise InvalidInputError(message, "invalid_fields")
        dated[name] = None if len(parts) == 1 else _sent(parts[2])
    moments = [moment for moment in dated.values() if moment is not None]
    if len(moments) < len(dated):
        return tuple(dated)
    return tuple(name for _, name in sorted(zip(moments, dated, strict=True)))


def _sent(text: str) -> datetime:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise InvalidInputError(f"references: sent is {error}", "invalid_fields") from error
