"""Every metric of the program, in one place. `docs/metrics.md` is generated from here.

No person, camera, incident or case is ever a label, and no value of a label is what a sender wrote: each comes from a
list below, or from a source that `metric_kinds.NAMED_ELSEWHERE` names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from rtcc_bridge.metric_kinds import (
    NAMED_ELSEWHERE,
    LabelledCounter,
    LabelledGauge,
    Latencies,
    TraceId,
    Values,
    no_trace,
)

PREFIX = "rtcc_bridge"

MILLISECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""For what the program does by itself."""
OUTAGE = (*MILLISECONDS, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""For what waits for the broker, the database or a matcher while one is away."""
HUMAN = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""For what waits for a person."""
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

LANES: Final = ("imminent", "routine")
ROLES: Final = ("web", "consumer", "matcher", "relay")
DEVICES: Final = ("cpu", "cuda")
VOLUMES: Final = ("database", "objects", "ledger", "packs", "journal")
STAGES: Final = (
    "decode", "detect", "quality", "crop", "preview", "align", "embed", "search", "persist", "publish",
)  # fmt: skip
PURPOSES: Final = ("violent_offense", "imminent_threat", "identify_deceased", "identify_incapacitated")
SEARCH_OUTCOMES: Final = ("candidates", "no_candidate", "unreadable", "busy", "failed")
LEAD_STATES: Final = (
    "candidates", "no_candidate", "rejected_quality", "acknowledged", "approval_lapsed", "withdrawn", "expired",
    "in_review", "inconclusive", "released", "corroborated", "refuted", "unresolved",
)  # fmt: skip
EVENT_OUTCOMES: Final = ("handled", "dead_letter", "tombstone")
DEAD_LETTER_REASONS: Final = (
    "bookings_off", "conflict", "failed", "fields", "from_the_future", "identity_reused", "invalid", "invalid_fields",
    "letter_too_large", "not_cloud_event", "not_found", "not_json", "policy", "rejected", "retries_exhausted",
    "thread_too_large", "too_large", "type", "unknown_status", "unknown_type",
)  # fmt: skip
BOOKING_OUTCOMES: Final = (
    "enrolled", "already_enrolled", "duplicate", "model_failed", "no_face", "not_adult", "poor_quality", "removed",
    "retention_passed", "several_faces", "unreadable",
)  # fmt: skip
REMOVALS: Final = ("expunged", "sealed", "retention")
RECEIVER_KINDS: Final = ("account", "packet", "system")
PURGE_OUTCOMES: Final = (
    "rejected_quality", "refused", "withdrawn", "no_candidate", "inconclusive", "expired", "released",
)  # fmt: skip
WORKER_REASONS: Final = (
    "start", "timeout", "protocol", "forbidden", "crashed", "decode_memory", "decode_failed",
)  # fmt: skip
CHECKPOINT_PLACES: Final = ("file", "store", "witness")
SPAN_LOSSES: Final = ("not_sent", "queue_full")
RELOADS: Final = ("taken", "unchanged", "refused")
MISUSE_SIGNALS: Final = (
    "same_still", "recrops", "off_shift", "unopened_approvals", "lapsed_deferrals", "never_disagrees", "missed_cases",
)  # fmt: skip
RULES: Final = tuple(f"P{number:02}" for number in range(1, 31))
EXPIRY_DAYS: Final = ("0", "7", "30", "90")
CERTIFICATES: Final = (
    "kafka.tls.certificate_file", "kafka.tls.ca_file", "kafka.sasl.token.ca_file", "database.tls_ca_file",
    "objects.transit_ca_file", "tracing.ca_file", "matching.milvus.ca_file", "identity.ca_file",
)  # fmt: skip
"""The settings that name a file with certificates."""

PROCESS_METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "process_cpu_seconds_total": "User and system CPU time of the process.",
        "process_resident_memory_bytes": "Resident memory of the process.",
        "process_virtual_memory_bytes": "Virtual memory of the process.",
        "process_open_fds": "Open file descriptors.",
        "process_max_fds": "Most file descriptors that may be open.",
        "process_start_time_seconds": "When the process started.",
    }
)
"""What Prometheus's own client library tells of every process on Linux, under the names that all programs use."""

# The moment at which each series began, as series of their own: twice as many, and nothing here asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives it no types


@dataclass(frozen=True, slots=True)
class MetricHelp:
    """A row of the generated reference page. labels: by name what they may say, None for those of NAMED_ELSEWHERE."""

    name: str
    kind: str
    labels: Mapping[str, Values]
    text: str


class Metrics:
    """The process's metrics on a registry of their own, so that tests do not share state."""

    def __init__(self, trace_id: TraceId = no_trace) -> None:
        """trace_id: asked when a latency is slow; must not block or raise."""
        self.registry = CollectorRegistry(auto_describe=True)
        self.help: list[MetricHelp] = []
        self._trace_id = trace_id
        ProcessCollector(registry=self.registry)

        latency, counter, gauge, gauges = self._latency, self._counter, self._gauge, self._gauges
        self.event_to_floor_seconds = latency(
            "event_to_floor_seconds",
            "From the record's timestamp on the topic to its place on the feed.",
            buckets=OUTAGE,
            topic=None,
        )
        self.probe_to_candidates_seconds = latency(
            "probe_to_candidates_seconds",
            "From authority and chosen face to the lead's place on the feed.",
            buckets=OUTAGE,
            slow_seconds=0.5,
            lane=LANES,
        )
        self.stage_seconds = latency("stage_seconds", "Time of one stage of one probe.", stage=STAGES)
        self.batch_wait_seconds = latency("batch_wait_seconds", "How long a probe waited for its batch.", lane=LANES)
        self.batch_size = self._histogram("batch_size", "Probes in a batch.", {}, BATCH)
        self.outbox_lag_seconds = latency(
            "outbox_lag_seconds", "From commit to publication of an outgoing event.", buckets=OUTAGE
        )
        self._add_times_of_people()
        self.expunge_effective_seconds = latency(
            "expunge_effective_seconds",
            "From an expungement's transaction until this matcher had dropped the rows.",
            buckets=OUTAGE,
            slow_seconds=5.0,
        )

        self.events_total = counter("events_total", "Records consumed.", topic=None, outcome=EVENT_OUTCOMES)
        self.records_lost_total = counter(
            "records_lost_total", "Records that retention removed before they were read, at most so many.", topic=None
        )
        self.dead_letters_total = counter(
            "dead_letters_total", "Records put to the dead letters.", topic=None, reason=DEAD_LETTER_REASONS
        )
        self.searches_total = counter(
            "searches_total",
            "Searches by purpose and outcome; one that finds the matcher busy is tried again.",
            purpose=PURPOSES,
            outcome=SEARCH_OUTCOMES,
        )
        self.policy_refusals_total = counter("policy_refusals_total", "Refusals by policy rule.", rule=RULES)
        self.policy_reloads_total = counter(
            "policy_reloads_total", "How often the policy was read again, by what became of it.", outcome=RELOADS
        )
        self.leads_total = counter("leads_total", "Lead events by the state they led to.", state=LEAD_STATES)
        self.leads_unanswered_total = counter(
            "leads_unanswered_total",
            "Released leads that ended without an outcome from their requestor (P18).",
            lane=LANES,
        )
        self.gallery_bookings_total = counter(
            "gallery_bookings_total", "Booked pictures by what became of them.", outcome=BOOKING_OUTCOMES
        )
        self.gallery_removals_total = counter(
            "gallery_removals_total",
            "Images removed by orders of the record system and at the end of their retention.",
            why=REMOVALS,
        )
        self.worker_restarts_total = counter(
            "worker_restarts_total", "Sandboxed decoding processes replaced, by reason.", reason=WORKER_REASONS
        )
        self.spans_lost_total = counter(
            "spans_lost_total",
            "Spans of traces that were lost: the collector did not take them, or the queue was full meanwhile.",
            reason=SPAN_LOSSES,
        )

        self.build_info = gauges("build_info", "1; which program this is.", version=None)
        self.process_role = gauges("process_role", "1 for each role that this process has.", role=ROLES)
        self.consumer_lag = gauges(
            "consumer_lag", "Records between the group's position and the end.", topic=None, partition=None
        )
        self.topic_paused = gauges(
            "topic_paused", "1 while a topic is paused for its rate of dead letters.", topic=None
        )
        self.gallery_templates = gauges("gallery_templates", "Templates that this matcher searches.", gallery=None)
        self.gallery_version = gauges(
            "gallery_version", "Version of the gallery that this matcher searches.", gallery=None
        )
        self.gallery_head_age_seconds = gauges(
            "gallery_head_age_seconds",
            "Since this matcher last confirmed the gallery's head; past `matching.gallery_stale_seconds` it stops "
            "searching (P25).",
            gallery=None,
        )
        self.gallery_segments = gauges(
            "gallery_segments", "Sealed segments of the gallery; small ones are merged.", gallery=None
        )
        self.sent_picture_wait_seconds = gauge(
            "sent_picture_wait_seconds",
            "How long the oldest picture that was sent on a gallery's page has waited for its template. 0: none waits.",
        )
        self._add_retention()
        self.matcher_device = gauges("matcher_device", "1 for the device that this matcher works on.", device=DEVICES)
        self.gpu_lost = gauge(
            "gpu_lost",
            "1 when this matcher should work on a GPU (`matching.device`, and one is there, or `matching.expects_gpu`) "
            "and does not.",
        )
        self.ready = gauges("ready", "1 when the dependency is ready.", dependency=None)
        self.probes_in_flight = gauges("probes_in_flight", "Probes being searched now.", lane=LANES)
        self.probes_stranded = gauge("probes_stranded", "Probes with authority that many requests brought no outcome.")
        self.relay_active = gauge("relay_active", "1 while this process is the one relay, 0 while it stands by.")
        self.outbox_backlog = gauge("outbox_backlog", "Committed events that are not published yet.")
        self.outbox_oldest_age_seconds = gauge(
            "outbox_oldest_age_seconds",
            "Age of the oldest committed event that is not published or, without a topic, not on the feed. 0: none.",
        )
        self.outbox_refused = gauges(
            "outbox_refused",
            "Events that the broker refused as too large at the last try: raise the topic's max.message.bytes.",
            topic=None,
        )
        self.feed_clients = gauge("feed_clients", "Open connections to the live feed.")
        self.misuse_signals = gauges(
            "misuse_signals",
            "Signs of misuse in the policy's window (P27), by kind. The administrator alone is shown whose they are.",
            signal=MISUSE_SIGNALS,
        )
        self.withdrawals_unacknowledged = gauges(
            "withdrawals_unacknowledged",
            "Receivers who have not acknowledged for more than a day that a lead has ended (P19), by how they came by "
            "it; a system counts once. The page Oversight tells who.",
            receiver=RECEIVER_KINDS,
        )
        self._add_audit()
        self._add_surroundings()

    def _add_retention(self) -> None:
        self.images_past_retention = self._gauge(
            "images_past_retention", "Gallery images whose retention has ended and that are still searched."
        )
        self.purged_total = self._counter(
            "purged_total",
            "Searches whose pictures and words were purged at the end of their time, by how they had ended (P24).",
            outcome=PURGE_OUTCOMES,
        )
        self.purges_due = self._gauge("purges_due", "Searches whose time is over and that are not purged yet.")
        self.purge_overdue_seconds = self._gauge(
            "purge_overdue_seconds", "How long the oldest search that is due has waited to be purged. 0: none."
        )
        self.segments_to_scrub = self._gauge(
            "segments_to_scrub",
            "Gallery segments in which a removed template still lies. One that stays is damaged or gone: see the log.",
        )

    def _add_audit(self) -> None:
        self.audit_sequencing_seconds = self._latency(
            "audit_sequencing_seconds",
            "From an audit entry to its place in the tree.",
            buckets=OUTAGE,
            slow_seconds=5.0,
        )
        self.audit_entries = self._gauge("audit_entries", "Entries in the tree of the audit log.")
        self.audit_unsequenced_seconds = self._gauge(
            "audit_unsequenced_seconds", "Age of the oldest audit entry that has no place in the tree. 0: none."
        )
        self.audit_unacknowledged_seconds = self._gauge(
            "audit_unacknowledged_seconds",
            "Age of the oldest audit entry that no checkpoint covers which a place outside has acknowledged (P22). "
            "0: none.",
        )
        self.audit_contradicted = self._gauges(
            "audit_contradicted",
            "1 while a place holds a checkpoint of this audit log that the database does not continue: it was rolled "
            "back or rewritten.",
            place=CHECKPOINT_PLACES,
        )
        self.audit_journal_entries = self._gauge(
            "audit_journal_entries",
            "Entries in this process's journal that wait for the audit log, or are set aside since it never takes them "
            "(P23).",
        )

    def _add_surroundings(self) -> None:
        self.clock_offset_seconds = self._gauge(
            "clock_offset_seconds", "This machine's clock minus the database's; NaN on SQLite, which has none."
        )
        self.clock_offset_seconds.set(float("nan"))
        self.certificate_expiry_timestamp_seconds = self._gauges(
            "certificate_expiry_timestamp_seconds",
            "When the first certificate of the file that this setting names expires (Unix time). None while the file "
            "cannot be read.",
            setting=CERTIFICATES,
        )
        self.policy_expires_timestamp_seconds = self._gauge(
            "policy_expires_timestamp_seconds",
            "When the policy in force expires (Unix time): from then on no search is begun, outside the demo.",
        )
        self.certificates_expiring = self._gauges(
            "certificates_expiring",
            "Analysts with a certificate that P10 needs and that ends within so many days; 0: it has ended, so that "
            "they can begin no new work.",
            days=EXPIRY_DAYS,
        )
        self.volume_free_bytes = self._gauges(
            "volume_free_bytes", "Free space for this program where it keeps its data on this machine.", volume=VOLUMES
        )
        self.volume_size_bytes = self._gauges("volume_size_bytes", "Size of that volume.", volume=VOLUMES)

    def expect_topic(self, topic: str) -> None:
        """Makes the series of a topic that is consumed here, at 0."""
        for counted in (self.events_total, self.dead_letters_total, self.records_lost_total):
            counted.expect(topic)

    def _add_times_of_people(self) -> None:
        self.time_to_acknowledge_seconds = self._latency(
            "time_to_acknowledge_seconds",
            "From a lead on the feed to its acknowledgement.",
            buckets=HUMAN,
            slow_seconds=600.0,
            lane=LANES,
        )
        self.time_to_approval_seconds = self._latency(
            "time_to_approval_seconds",
            "From the chosen face to the supervisor's approval.",
            buckets=HUMAN,
            slow_seconds=600.0,
            lane=LANES,
        )
        self.time_to_peer_review_seconds = self._latency(
            "time_to_peer_review_seconds",
            "From the opening of a lead's peer review to the reviewer's conclusion.",
            buckets=HUMAN,
            slow_seconds=600.0,
            lane=LANES,
        )
        self.threat_to_release_seconds = self._latency(
            "threat_to_release_seconds",
            "From an incident's first imminent threat to the release of a lead on it.",
            buckets=HUMAN,
            slow_seconds=1800.0,
        )

    def _latency(
        self,
        name: str,
        text: str,
        *,
        buckets: tuple[float, ...] = MILLISECONDS,
        slow_seconds: float = 0.25,
        **labels: Values,
    ) -> Latencies:
        """slow_seconds: from there on an observation bears the id of its trace."""
        histogram = self._histogram(name, text, labels, buckets)
        return Latencies(histogram, tuple(labels.values()), slow_seconds, self._trace_id)

    def _histogram(self, name: str, text: str, labels: Mapping[str, Values], buckets: tuple[float, ...]) -> Histogram:
        self._note(name, "histogram", text, labels)
        return Histogram(name, text, tuple(labels), namespace=PREFIX, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, **labels: Values) -> LabelledCounter:
        self._note(name, "counter", text, labels)
        counted = Counter(name, text, tuple(labels), namespace=PREFIX, registry=self.registry)
        return LabelledCounter(counted, tuple(labels.values()))

    def _gauge(self, name: str, text: str) -> Gauge:
        self._note(name, "gauge", text, {})
        return Gauge(name, text, namespace=PREFIX, registry=self.registry)

    def _gauges(self, name: str, text: str, **labels: Values) -> LabelledGauge:
        self._note(name, "gauge", text, labels)
        gauge = Gauge(name, text, tuple(labels), namespace=PREFIX, registry=self.registry)
        return LabelledGauge(gauge, tuple(labels.values()))

    def _note(self, name: str, kind: str, text: str, labels: Mapping[str, Values]) -> None:
        for label, values in labels.items():
            if values is None and label not in NAMED_ELSEWHERE:
                raise ValueError(f"{name}: nothing bounds what the label {label} may say: list it, or name its source")
        self.help.append(MetricHelp(f"{PREFIX}_{name}", kind, MappingProxyType(dict(labels)), text))
