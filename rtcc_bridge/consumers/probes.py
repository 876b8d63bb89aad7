"""The matcher's handler: takes a search request, searches the face and records the lead.

A request names a probe and bears a signed token of its authority (P30), which has to fit the probe as the database has
it. Whether it may be searched is read there, before the work and again in the transaction that records the result. A
request may come twice, late, or for a probe that was withdrawn.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from typing import Any, Final

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.consumers.cloud_events import parse
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import (
    BridgeError,
    BusyError,
    ConfigurationError,
    IntegrityError,
    NotFoundError,
    ObjectUnavailableError,
    PolicyRefusalError,
    TransientError,
    UnavailableError,
)
from rtcc_bridge.leads.candidates import prepare_candidates
from rtcc_bridge.leads.parts import SearchOutcome
from rtcc_bridge.matching.errors import BatcherClosedError, InferenceError, QueueFullError
from rtcc_bridge.matching.types import FaceCrop, Lane
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.authority_token import ExpiredTokenError, SearchAuthority
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search import FaceSearch, FoundCandidates
from rtcc_bridge.probes.search_gate import reason_to_drop
from rtcc_bridge.probes.search_request import SearchOrder, parse_search_request
from rtcc_bridge.probes.search_token import require_lane_of_topic, require_token_of
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.probes.steps import take_step
from rtcc_bridge.probes.stored_crop import open_crop
from rtcc_bridge.probes.unsettled import undo_seal
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction, on_commit
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import Facts, Kind, span
from rtcc_bridge.telemetry.work import is_about, taken_up

CANDIDATES_KIND: Final = "candidates"

_ACTION: Final = "probe.search"

_UNREADABLE: Final = "The stored picture of the chosen face is damaged, so it was not searched: attach the still again."

log = structlog.get_logger()


class SearchHandler:
    """Handles the records of the two probe topics."""

    def __init__(
        self,
        parts: ProbeParts,
        vault: ObjectVault,
        actual: FaceSearch,
        training: FaceSearch | None,
        *,
        timeout_seconds: float,
        device_works: Callable[[], Awaitable[None]],
        model_problem_at: Callable[[datetime], str],
        is_demo: bool,
    ) -> None:
        """actual and training: the galleries for actual events and for exercises (P07).

        device_works: asked when the model fails on a face; returns when the fault is the face's, and raises
        UnavailableError when the device is lost, so that the request is kept for another process.
        model_problem_at: why no live gallery may be searched with the model at that moment (P28); empty when one may.
        is_demo: whether this is the profile in which a demo's gallery stands in for a live one.
        """
        self._parts = parts
        self._vault = vault
        self._actual = actual
        self._training = training
        self._timeout_seconds = timeout_seconds
        self._device_works = device_works
        self._model_problem_at = model_problem_at
        self._is_demo = is_demo
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def evaluation_problem(self) -> str | None:
        """Why no actual event is searched for although the gallery is there (P28), for readiness and the floor: who
        waits for a search is told so, since it stays authorized. None when it may be, or the gallery itself is missed.
        """
        try:
            self._require_searchable(self._actual, exercise=False)
        except PolicyRefusalError as refusal:
            return str(refusal)
        except BridgeError:
            return None
        return None

    async def handle(self, record: ConsumedRecord) -> None:
        """Returns when the lead is recorded, or when there is nothing to do for the probe any more.

        A picture that is damaged is one probe's misfortune and harms no other: it ends that probe with a result. A
        picture that the store does not give, a model that fails twice and a search that takes too long are no reason
        to keep the record, and its partition with it: the probe keeps its authority and the reconciler requests it
        again. Raises InvalidInputError and NotFoundError (no request, or no such probe), PolicyRefusalError (P30: not
        signed, altered, of another search), TransientError (busy, gallery stale, database or object store away, device
        lost).
        """
        event = parse(record)
        order = parse_search_request(event)
        where: Facts = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        with taken_up(_ACTION, event.traceparent, kind=Kind.CONSUMER, **where):
            await self._answer(order, record.topic)

    async def _answer(self, order: SearchOrder, topic: str) -> None:
        authority = await self._proved(order, topic)
        probe = None if authority is None else await self._admitted(order.probe_id, authority)
        search = None if probe is None else await self._gallery_for(probe)
        if probe is None or search is None:
            return
        with self._parts.metrics.probes_in_flight.labels(probe.lane).track_inprogress():
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await self._search(probe, search)
            except TimeoutError:
                self._give_up(probe, f"it did not end within {self._timeout_seconds:g} s")

    async def _search(self, probe: ProbeRecord, search: FaceSearch) -> None:
        try:
            crop = await open_crop(self._parts.database, self._vault, probe)
        except (IntegrityError, NotFoundError) as damage:
            log.error("a probe's picture cannot be read", probe_id=probe.probe_id, error=str(damage))
            await self._end_unreadable(probe.probe_id)
            return
        except ObjectUnavailableError as error:
            self._give_up(probe, str(error))
            return
        try:
            found = await self._find(probe, search, crop)
        except InferenceError as error:  # the batcher has tried it a second time, alone
            await self._device_works()
            self._give_up(probe, str(error))
            return
        with span("persist"):
            await self._record(probe, found)

    async def _proved(self, order: SearchOrder, topic: str) -> SearchAuthority | None:
        """What the request's token proves; None when it has expired, since the reconciler makes another request then.

        Raises PolicyRefusalError: the record becomes a dead letter, which keeps what somebody has tried.
        """
        parts = self._parts
        try:
            async with self._watching(order.probe_id):
                authority = parts.authority_keys.require_verifier().verify(order.token, now=parts.clock.now())
                require_lane_of_topic(authority, topic, parts.topics)
                if authority.probe_id != order.probe_id:
                    raise PolicyRefusalError("P30", "The request's authority token was made for another probe.")
        except ExpiredTokenError as refusal:
            log.warning("search request refused", probe_id=order.probe_id, reason=str(refusal))
            return None
        return authority

    def _watching(self, probe_id: str) -> AbstractAsyncContextManager[None]:
        return self._refusals.watching(actor=SYSTEM, action=_ACTION, subject=probe_id, authority={})

    async def _admitted(self, probe_id: str, authority: SearchAuthority) -> ProbeRecord | None:
        """The probe, if it may be searched now; one that may never be searched any more is withdrawn.

        Raises PolicyRefusalError (P30) when its token was made for another search than the row says.
        """
        try:
            async with self._parts.database.read() as tx:
                probe = await probes.find(tx, probe_id)
                if probe is None:
                    raise NotFoundError("a search was requested for a probe that does not exist")
                is_about(probe_id=probe.probe_id, incident_id=probe.incident_id, lane=probe.lane)
                reason = await reason_to_drop(tx, probe, self._parts.policy, self._parts.clock.now())
        except PolicyRefusalError:
            await self._withdraw(probe_id)
            return None
        if reason is not None:
            log.info("search request dropped", probe_id=probe_id, reason=reason)
            return None
        async with self._watching(probe_id):
            require_token_of(probe, authority, self._parts.authority_keys.require_verifier())
        return probe

    async def _gallery_for(self, probe: ProbeRecord) -> FaceSearch | None:
        """The gallery for this kind of event (P07, P28); None when there is none that may be searched.

        That is for the operator to change, so the probe keeps its authority and is requested again.
        """
        search = self._training if probe.exercise else self._actual
        try:
            async with self._refusals.watching(
                actor=SYSTEM, action=_ACTION, subject=probe.probe_id, authority={"purpose": probe.purpose}
            ):
                if search is None:
                    rules.require_gallery_for(exercise=probe.exercise, training_gallery=None)
                else:
                    self._require_searchable(search, exercise=probe.exercise)
        except (PolicyRefusalError, ConfigurationError) as problem:
            log.error("gallery cannot be searched", probe_id=probe.probe_id, reason=str(problem))
            return None
        return search

    def _require_searchable(self, search: FaceSearch, *, exercise: bool) -> None:
        """Raises PolicyRefusalError; what the gallery raises while it cannot be confirmed (P25), or is not there."""
        rules.require_searchable(
            exercise=exercise,
            gallery_kind=search.gallery.gallery_kind,
            model_problem=self._model_problem_at(self._parts.clock.now()),
            is_demo=self._is_demo,
        )

    async def _find(self, probe: ProbeRecord, search: FaceSearch, crop: FaceCrop) -> FoundCandidates:
        """Raises InferenceError when the model fails on this crop."""
        try:
            return await search.search(crop, Lane(probe.lane))
        except QueueFullError as error:
            self._parts.metrics.searches_total.labels(probe.purpose, "busy").inc()
            raise BusyError("too many probes wait for a search") from error
        except BatcherClosedError as error:
            raise UnavailableError("the matcher is stopping") from error
        except InferenceError as error:
            if isinstance(error.__cause__, TransientError):
                raise error.__cause__ from error
            raise

    def _give_up(self, probe: ProbeRecord, why: str) -> None:
        """Leaves a probe that fails by itself to the reconciler, which requests it again; its partition goes on."""
        self._parts.metrics.searches_total.labels(probe.purpose, "failed").inc()
        log.error("search given up until the reconciler requests it again", probe_id=probe.probe_id, why=why)

    async def _record(self, probe: ProbeRecord, found: FoundCandidates) -> None:
        started = time.perf_counter()
        quality = next(face["quality"] for face in probe.faces or () if face["number"] == probe.chosen_face)
        facts = found.facts.of_probe(quality["unifiedScore"])
        outcome = SearchOutcome(candidates=prepare_candidates(found.candidates), facts=facts, quality=quality)
        async with AsyncExitStack() as undo:
            sealed = None
            if found.candidates:
                sealed = await self._vault.seal(CANDIDATES_KIND, outcome.candidates.sealed_payload)
                undo_seal(undo, self._parts.database, self._vault, sealed)
            async with self._parts.database.write() as tx:
                kept = await self._record_in(tx, probe.probe_id, outcome, sealed)
            if kept:
                undo.pop_all()
        self._parts.metrics.stage_seconds.labels("persist").observe(time.perf_counter() - started)

    async def _record_in(
        self, tx: Transaction, probe_id: str, outcome: SearchOutcome, sealed: SealedObject | None
    ) -> bool:
        """Says whether the lead refers to the sealed list."""
        parts = self._parts
        probe = await self._held(tx, probe_id)
        if probe is None:
            return False
        facts = outcome.facts
        details = {"gallery": facts.gallery, "galleryVersion": facts.gallery_version, "modelHash": facts.model_hash}
        changes = {"state": ProbeState.SEARCHED}
        searched = await take_step(parts, tx, probe, changes, actor=SYSTEM, action=_ACTION, details=details)
        lead = await parts.leads.record_search(tx, searched, outcome, sealed)
        return sealed is not None and lead.candidates_object == sealed.object_key

    async def _held(self, tx: Transaction, probe_id: str) -> ProbeRecord | None:
        """The probe, kept from being changed; None when it takes no outcome any more."""
        probe = await probes.find(tx, probe_id, lock=True)
        assert probe is not None, "probes are never deleted"
        try:
            reason = await reason_to_drop(tx, probe, self._parts.policy, self._parts.clock.now())
        except PolicyRefusalError as refusal:
            reason = str(refusal)
        if reason is None:
            return probe
        log.info("search result dropped", probe_id=probe_id, reason=reason)
        return None

    async def _end_unreadable(self, probe_id: str) -> None:
        """Ends the probe as one that cannot be searched: who waits for it is told, and nobody requests it again.

        An approval that was to follow (P14) has nothing to follow, and is not held against the analyst.
        """
        parts = self._parts
        async with parts.database.write() as tx:
            probe = await self._held(tx, probe_id)
            if probe is None:
                return
            changes: dict[str, Any] = {"state": ProbeState.UNREADABLE, "state_reason": _UNREADABLE}
            if probe.approval == Approval.PENDING:
                changes |= {"approval": Approval.NONE, "approve_by": None, "authority_token": None}
            ended = await take_step(parts, tx, probe, changes, actor=SYSTEM, action=_ACTION)
            await parts.leads.record_rejected_quality(tx, ended, [_UNREADABLE], None)
            on_commit(tx, parts.metrics.searches_total.labels(ended.purpose, ended.state).inc)

    async def _withdraw(self, probe_id: str) -> None:
        """Withdraws a probe that policy does not permit any more, unless that has changed again meanwhile."""
        parts = self._parts
        async with parts.database.write() as tx:
            probe = await probes.find(tx, probe_id, lock=True)
            assert probe is not None, "probes are never deleted"
            try:
                await reason_to_drop(tx, probe, parts.policy, parts.clock.now())
            except PolicyRefusalError as refusal:
                changes = {"state": ProbeState.WITHDRAWN, "state_reason": str(refusal), "authority_token": None}
                details = {"rule": refusal.rule, "reason": str(refusal)}
                await take_step(parts, tx, probe, changes, actor=SYSTEM, action="probe.withdraw", details=details)
                on_commit(tx, parts.metrics.policy_refusals_total.labels(refusal.rule).inc)
                log.warning("probe withdrawn", probe_id=probe_id, rule=refusal.rule)
