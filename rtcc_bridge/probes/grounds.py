"""What an analyst states beside a still or a clip, and every gate of the policy before either is taken in."""

from dataclasses import dataclass

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account, person_id
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import SearchGrounds
from rtcc_bridge.probes.authority import IncidentAuthority, authority_of, require_open_case
from rtcc_bridge.probes.covering import require_covering
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ProbeForm:
    """What the analyst states beside the still. case_number may stay empty where the incident has one.

    edits: steps that the faces are looked for after (P05). same_person_as: a probe whose approval is to cover this
    still too, which shows the same unknown person (P01). warrant_or_exigency: needed for the purposes that the policy
    names (P09).
    """

    purpose: str
    legal_basis: str
    requestor: str
    case_number: str | None
    attested_original: bool
    warrant_or_exigency: str | None = None
    same_person_as: str | None = None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the gates found to be so."""

    authority: IncidentAuthority
    case_number: str
    policy_hash: str
    warrant_or_exigency: str | None
    same_person_as: str | None


async def require_intake_grounds(
    parts: ProbeParts,
    tx: Transaction,
    incident_id: str,
    form: ProbeForm,
    analyst: Account,
    *,
    training_gallery: str | None,
) -> Grounds:
    """Every gate before a still is taken in (P01, P02, P05, P07, P08, P09, P10, P14, P21).

    Raises PolicyRefusalError, NotFoundError (incident), ConflictError (broken merge).
    """
    require_permission(analyst, Deed.ATTACH_STILL)
    policy, now = parts.policy, parts.clock.now()
    parts.policy_in_force.require_in_date(now)
    rules.require_certified(analyst, policy, now)
    authority = await authority_of(tx, incident_id, policy, now)
    incident = authority.incident
    rules.require_authority(incident)
    rules.require_unmixed(incident)
    rules.require_declared_by_another(analyst.name, authority.declared_by)
    purpose = rules.require_permitted_purpose(policy, form.purpose, incident, imminent_threat=authority.alerted)
    warrant = rules.require_warrant(policy, purpose, form.warrant_or_exigency)
    case_number = rules.require_grounds(incident, form.case_number, form.requestor, form.legal_basis)
    await require_open_case(tx, case_number)
    rules.require_attested(attested_original=form.attested_original)
    rules.require_gallery_for(exercise=incident.exercise, training_gallery=training_gallery)
    first = None
    if form.same_person_as is not None:
        further = _search_grounds(authority.incident_id, form, case_number, analyst)
        verifier = parts.authority_keys.require_verifier()
        first = (await require_covering(tx, form.same_person_as, further, policy, verifier, now)).probe_id
    return Grounds(authority, case_number, policy.hash, warrant, first)


def require_lengths(incident_id: str, form: ProbeForm) -> None:
    """The columns' limits: a database would cut or refuse what is longer. Raises InvalidInputError."""
    fields = (
        ("incident", incident_id, 256),
        ("purpose", form.purpose, 64),
        ("legal basis", form.legal_basis, 1024),
        ("case number", form.case_number or "", 256),
        ("requestor", form.requestor, 256),
        ("requestor", person_id(form.requestor), 256),  # which may be longer
        ("warrant or exigency", form.warrant_or_exigency or "", 1024),
        ("probe of the same person", form.same_person_as or "", 64),
    )
    for name, value, limit in fields:
        if len(value) > limit:
            raise InvalidInputError(f"The {name} is longer than {limit} characters: shorten it.", "fields")


def _search_grounds(incident_id: str, form: ProbeForm, case_number: str, analyst: Account) -> SearchGrounds:
    return SearchGrounds(
        incident_id=incident_id,
        case_number=case_number,
        purpose=form.purpose,
        legal_basis=form.legal_basis.strip(),
        requestor=form.requestor.strip(),
        analyst=analyst.name,
    )
