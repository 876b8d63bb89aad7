"""A step in a probe's life: the change, only if nobody was faster, and its audit entry, in one transaction."""

from collections.abc import Mapping
from typing import Any

from rtcc_bridge.audit.commitments import Name, NameKind
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.search_request import search_request
from rtcc_bridge.probes.search_token import token_for
from rtcc_bridge.probes.state import ProbeState, require_transition
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import current_traceparent


async def take_step(
    parts: ProbeParts,
    tx: Transaction,
    before: ProbeRecord,
    changes: Mapping[str, Any],
    *,
    actor: str,
    action: str,
    outcome: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> ProbeRecord:
    """Applies `changes` to the probe as it was read and writes the entry. Its trace goes on from this step.

    outcome: the entry's, unless it is the probe's new state. Raises ConflictError for a step that the table of
    transitions does not hold, and when the probe has changed since.
    """
    if "state" in changes:
        require_transition(ProbeState(before.state), changes["state"])
    if (traceparent := current_traceparent()) is not None:
        changes = {**changes, "traceparent": traceparent}
    updated = await probes.change(tx, before, changes, at=parts.clock.now())
    if updated is None:
        raise ConflictError("This probe has changed meanwhile: look at it again.")
    outcome = outcome or updated.state
    await record_act(parts, tx, updated, actor=actor, action=action, outcome=outcome, details=details)
    return updated


def names_of(*, case_number: str, requestor: str) -> dict[str, Name]:
    """The names that the entries of a probe commit to."""
    return {"case": Name(NameKind.CASE, case_number), "requestor": Name(NameKind.PERSON, requestor)}


async def request_search(parts: ProbeParts, tx: Transaction, probe: ProbeRecord) -> None:
    """Puts the signed request for a probe with authority into the outbox, and keeps the proof with it (P30).

    Only for who gives the authority, or has asked for the proof (`require_kept_authority`). Raises ConfigurationError
    in a process that has no key to sign with.
    """
    await parts.outbox.put(tx, search_request(probe, parts.topics, await keep_authority(parts, tx, probe)))


async def keep_authority(parts: ProbeParts, tx: Transaction, probe: ProbeRecord) -> Mapping[str, Any]:
    """Signs what the probe's search rests on, and keeps that with it. Raises as `request_search` does."""
    token = token_for(probe, parts.authority_keys.require_signer(), parts.policy, parts.clock.now())
    await probes.keep_authority(tx, probe.probe_id, token)
    return token


async def record_act(
    parts: ProbeParts,
    tx: Transaction,
    probe: ProbeRecord,
    *,
    actor: str,
    action: str,
    outcome: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Writes the audit entry of an act on a probe: under which authority, on which picture.

    Of the case's number and the requestor's name it holds commitments alone.
    """
    await parts.audit.append(
        tx,
        actor=actor,
        action=action,
        subject=probe.probe_id,
        outcome=outcome,
        authority={
            "incidentId": probe.incident_id,
            "purpose": probe.purpose,
            "lane": probe.lane,
            "approval": probe.approval,
            "policyHash": probe.policy_hash,
        },
        details={
            "originalSha256": probe.original_sha256,
            "chosenFace": probe.chosen_face,
            **({} if probe.crop_sha256 is None else {"cropSha256": probe.crop_sha256}),
            **(details or {}),
        },
        names=names_of(case_number=probe.case_number, requestor=probe.requestor),
    )
