"""Every metric of the program, in one place. `docs/metrics.md` is generated from here.

No person, camera, incident or case is ever a label.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "rtcc_bridge"

MILLISECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""For what the program does by itself."""
OUTAGE = (*MILLISECONDS, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""For what waits for the broker, the database or a matcher while one is away."""
HUMAN = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""For what waits for a person."""
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class MetricHelp:
    """A row of the generated reference page."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The process's metrics on a registry of their own, so that tests do not share state."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.help: list[MetricHelp] = []

        histogram, counter, gauge = self._histogram, self._counter, self._gauge
        self.event_to_floor_seconds = histogram(
            "event_to_floor_seconds",
            "From the record's timestamp on the topic to its place on the feed.",
            "topic",
            buckets=OUTAGE,
        )
        self.probe_to_candidates_seconds = histogram(
            "probe_to_candidates_seconds",
            "From authority and chosen face to the lead's place on the feed.",
            "lane",
            buckets=OUTAGE,
        )
        self.stage_seconds = histogram(
            "stage_seconds",
            "Time of one stage of one probe: decode, detect, quality, crop, preview, align, embed, search, persist, "
            "publish.",
            "stage",
        )
        self.batch_wait_seconds = histogram("batch_wait_seconds", "How long a probe waited for its batch.", "lane")
        self.batch_size = histogram("batch_size", "Probes in a batch.", buckets=BATCH)
        self.outbox_lag_seconds = histogram(
            "outbox_lag_seconds", "From commit to publication of an outgoing event.", buckets=OUTAGE
        )
        self.time_to_acknowledge_seconds = histogram(
            "time_to_acknowledge_seconds", "From a lead on the feed to its acknowledgement.", "lane", buckets=HUMAN
        )
        self.time_to_approval_seconds = histogram(
            "time_to_approval_seconds", "From the chosen face to the supervisor's approval.", "lane", buckets=HUMAN
        )
        self.expunge_effective_seconds = histogram(
            "expunge_effective_seconds",
            "From an expungement's transaction until this matcher had dropped the rows.",
            buckets=OUTAGE,
        )

        self.events_total = counter(
            "events_total", "Records consumed: handled, dead_letter or tombstone.", "topic", "outcome"
        )
        self.records_lost_total = counter(
            "records_lost_total", "Records that retention removed before they were read, at most so many.", "topic"
        )
        self.dead_letters_total = counter("dead_letters_total", "Records put to the dead letters.", "topic", "reason")
        self.searches_total = counter(
            "searches_total",
            "Searches by purpose and outcome; one that finds the matcher busy is tried again.",
            "purpose",
            "outcome",
        )
        self.policy_refusals_total = counter("policy_refusals_total", "Refusals by policy rule.", "rule")
        self.leads_total = counter("leads_total", "Lead events by the state they led to.", "state")
        self.worker_restarts_total = counter(
            "worker_restarts_total", "Sandboxed decoding processes replaced, by reason.", "reason"
        )

        self.consumer_lag = gauge(
            "consumer_lag", "Records between the group's position and the end.", "topic", "partition"
        )
        self.topic_paused = gauge("topic_paused", "1 while a topic is paused for its rate of dead letters.", "topic")
        self.gallery_templates = gauge("gallery_templates", "Templates that this matcher searches.", "gallery")
        self.gallery_version = gauge("gallery_version", "Version of the gallery that this matcher searches.", "gallery")
        self.segments_to_scrub = gauge(
            "segments_to_scrub",
            "Gallery segments in which a removed template still lies. One that stays is damaged or gone: see the log.",
        )
        self.ready = gauge("ready", "1 when the dependency is ready.", "dependency")
        self.probes_in_flight = gauge("probes_in_flight", "Probes being searched now.", "lane")
        self.probes_stranded = gauge("probes_stranded", "Probes with authority that many requests brought no outcome.")
        self.relay_active = gauge("relay_active", "1 while this process is the one relay, 0 while it stands by.")
        self.outbox_backlog = gauge("outbox_backlog", "Committed events that are not published yet.")
        self.outbox_refused = gauge(
            "outbox_refused",
            "Events that the broker refused as too large at the last try: raise the topic's max.message.bytes.",
            "topic",
        )
        self.feed_clients = gauge("feed_clients", "Open connections to the live feed.")

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = MILLISECONDS) -> Histogram:
        self.help.append(MetricHelp(f"{PREFIX}_{name}", "histogram", labels, text))
        return Histogram(name, text, labels, namespace=PREFIX, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.help.append(MetricHelp(f"{PREFIX}_{name}", "counter", labels, text))
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.help.append(MetricHelp(f"{PREFIX}_{name}", "gauge", labels, text))
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)
