"""For each alert what makes it fire and what keeps it silent, as series of samples for promtool.

Samples are written as promtool reads them: `0+1x5` is 0 1 2 3 4 5. One comes each minute, or, where an alert looks at
days, every half an hour; the rules are evaluated as often.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CRITICAL, WARNING = "critical", "warning"
INSTANCE: Final = 'job="rtcc-bridge", instance="a:9464"'
TOPICS: Final = {
    "incidents": "rtcc.incidents",
    "threats": "rtcc.threats",
    "imminent": "rtcc-bridge.probes.imminent",
    "routine": "rtcc-bridge.probes.routine",
    "records": "rtcc.gallery.records",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """at: when it is asked whether the alert of this severity fires. labels: those that it then has, beside its own."""

    alert: str
    severity: str
    name: str
    series: Mapping[str, str]
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    fires: bool

    def as_test(self, interval: str) -> dict[str, Any]:
        """In promtool's words. Firing alerts are what the series ALERTS says."""
        own = {"alertname": self.alert, "alertstate": "firing", "service": "rtcc-bridge", "severity": self.severity}
        firing = ", ".join(f'{name}="{value}"' for name, value in sorted((own | dict(self.labels)).items()))
        return {
            "name": f"{self.alert}, {self.severity}: {self.name}",
            "interval": interval,
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'ALERTS{{alertname="{self.alert}", severity="{self.severity}", alertstate="firing"}}',
                    "eval_time": self.at,
                    "exp_samples": [{"labels": f"ALERTS{{{firing}}}", "value": 1}] if self.fires else [],
                }
            ],
        }


def pair(
    alert: str,
    severity: str,
    bad: Mapping[str, str],
    good: Mapping[str, str],
    *,
    at: str = "16m",
    labels: Mapping[str, str] | None = None,
    names: tuple[str, str] = ("broken", "sound"),
) -> Iterator[Case]:
    """One that fires and one that does not, at the same moment."""
    yield Case(alert=alert, severity=severity, name=names[0], series=bad, at=at, labels=labels or {}, fires=True)
    yield Case(alert=alert, severity=severity, name=names[1], series=good, at=at, fires=False)


def gauge(name: str, labels: str, value: float) -> dict[str, str]:
    """One that stays as it is."""
    return {f"rtcc_bridge_{name}{{{labels}}}": f"{value:g}+0x40"}


def histogram(name: str, total: float, within: float, bound: str, samples: int) -> dict[str, str]:
    """So many observations between two samples, and so many of them within the bound."""
    return {
        f'rtcc_bridge_{name}_count{{instance="a"}}': f"0+{total:g}x{samples}",
        f'rtcc_bridge_{name}_bucket{{instance="a", le="{bound}"}}': f"0+{within:g}x{samples}",
    }


def floor_of(
    *,
    relay: str = "1+0x900",
    ready: str = "1+0x900",
    records: str = "1+0x900",
    roles: tuple[str, ...] = ("web", "consumer", "matcher", "relay"),
) -> dict[str, str]:
    """A floor with these roles; `relay`, `ready` (the broker) and `records` are samples."""
    series = {f'rtcc_bridge_process_role{{role="{role}"}}': "1+0x900" for role in roles}
    series |= {
        f'rtcc_bridge_ready{{dependency="{name}"}}': samples
        for name, samples in (("broker", ready), ("records", records))
    }
    return series | {"rtcc_bridge_relay_active": relay}


def minutes() -> Iterator[Case]:
    """Samples and evaluations each minute."""
    floor, search = "event_to_floor_seconds", "probe_to_candidates_seconds"
    yield from pair(
        "FloorLatencyBudgetBurn", CRITICAL,
        histogram(floor, 100, 80, "0.5", 90), histogram(floor, 100, 95, "0.5", 90),
        at="80m", names=("a fifth is late", "one of twenty is late"),
    )  # fmt: skip
    yield from pair(
        "CandidateLatencyBudgetBurn", CRITICAL,
        histogram(search, 1, 0.2, "1.0", 90), histogram(search, 0.1, 0, "1.0", 90),
        at="80m", names=("four of five are late", "all of a handful are late"),
    )  # fmt: skip
    yield from pair(
        "ImminentLaneBudgetBurn", CRITICAL,
        floor_of(relay="1+0x75 0+0x10"), floor_of(relay="1+0x90"),
        at="80m", names=("no relay for four minutes", "all there"),
    )  # fmt: skip
    yield from pair(
        "ImminentLaneBudgetBurn", CRITICAL,
        floor_of(ready="1+0x75 0+0x10"), floor_of(records="1+0x75 0+0x10"),
        at="80m", names=("no broker for four minutes", "the record system's orders wait"),
    )  # fmt: skip
    yield from pair(
        "ImminentLaneBudgetBurn", CRITICAL,
        floor_of(roles=("web", "consumer", "relay")), floor_of(),
        at="80m", names=("no matcher", "a process of each role"),
    )  # fmt: skip
    yield from pair(
        "ProcessDown", WARNING, {f"up{{{INSTANCE}}}": "1+0x10 0+0x10"}, {f"up{{{INSTANCE}}}": "1+0x10 0+0x0 1+0x20"},
        at="14m", labels={"job": "rtcc-bridge", "instance": "a:9464"}, names=("away", "back within a minute"),
    )  # fmt: skip
    for role in ("web", "consumer", "matcher", "relay"):
        others = {
            f'rtcc_bridge_process_role{{role="{one}"}}': "1+0x40"
            for one in ("web", "consumer", "matcher", "relay")
            if one != role
        }
        yield from pair(
            "RoleMissing", CRITICAL, others, others | gauge("process_role", f'role="{role}"', 1),
            labels={"role": role}, names=(f"no {role}", f"with {role}"),
        )  # fmt: skip
    yield from pair(
        "NotReady", CRITICAL,
        gauge("ready", 'dependency="broker", instance="a"', 0) | gauge("ready", 'dependency="broker", instance="b"', 0),
        gauge("ready", 'dependency="broker", instance="a"', 0) | gauge("ready", 'dependency="broker", instance="b"', 1),
        labels={"dependency": "broker"}, names=("nowhere", "in one of two"),
    )  # fmt: skip
    yield from pair(
        "NotReady", WARNING,
        gauge("ready", 'dependency="broker", instance="a"', 0),
        {'rtcc_bridge_ready{dependency="broker", instance="a"}': "1+0x20 0+0x20"},
        at="28m", labels={"dependency": "broker", "instance": "a"}, names=("for long", "since some minutes"),
    )  # fmt: skip
    starts = f"process_start_time_seconds{{{INSTANCE}}}"
    yield from pair(
        "ProcessRestarts", WARNING, {starts: "100+300x8"}, {starts: "100+0x4 700+0x40"},
        at="10m", labels={"job": "rtcc-bridge", "instance": "a:9464"}, names=("eight times", "once"),
    )  # fmt: skip
    for severity, bad, good in ((WARNING, -40, 20), (CRITICAL, 100, -80)):
        yield from pair(
            "ClockOff", severity, gauge("clock_offset_seconds", 'instance="a"', bad),
            gauge("clock_offset_seconds", 'instance="a"', good), labels={"instance": "a"},
        )  # fmt: skip
    for severity, topic, bad, good in (
        (CRITICAL, "imminent", 6, 5), (CRITICAL, "incidents", 1001, 1000), (WARNING, "routine", 201, 200),
        (WARNING, "records", 1001, 1000),
    ):  # fmt: skip
        labels = f'topic="{TOPICS[topic]}", partition="0", instance="a"'
        yield from pair(
            "ConsumerLag", severity, gauge("consumer_lag", labels, bad), gauge("consumer_lag", labels, good),
            labels={"topic": TOPICS[topic]}, names=(f"{topic} wait", f"{topic} do not"),
        )  # fmt: skip
    yield Case(
        alert="ConsumerLag", severity=CRITICAL, name="bookings are not the floor", fires=False, at="16m",
        series=gauge("consumer_lag", f'topic="{TOPICS["records"]}", partition="0", instance="a"', 5000),
    )  # fmt: skip
    incidents = f'topic="{TOPICS["incidents"]}"'
    yield from pair(
        "TopicPaused", CRITICAL, gauge("topic_paused", incidents, 1), gauge("topic_paused", incidents, 0),
        labels={"topic": TOPICS["incidents"]},
    )  # fmt: skip
    handled = {f'rtcc_bridge_events_total{{{incidents}, outcome="handled"}}': "0+100x40"}
    letters = f'rtcc_bridge_dead_letters_total{{{incidents}, reason="not_json"}}'
    yield from pair(
        "DeadLetters", WARNING, handled | {letters: "0+2x40"}, handled | {letters: "0+0.9x40"},
        labels={"topic": TOPICS["incidents"]}, names=("two of a hundred", "less than one of a hundred"),
    )  # fmt: skip
    threat = f'rtcc_bridge_dead_letters_total{{topic="{TOPICS["threats"]}", reason="not_json"}}'
    yield from pair(
        "DeadLetters", CRITICAL, {threat: "0+0x8 1+0x20"}, {threat: "1+0x40"},
        labels={"topic": TOPICS["threats"]}, names=("one threat", "none that is new"),
    )  # fmt: skip
    lost = f"rtcc_bridge_records_lost_total{{{incidents}}}"
    yield from pair(
        "RecordsLost", CRITICAL, {lost: "0+0x8 7+0x20"}, {lost: "7+0x40"},
        labels={"topic": TOPICS["incidents"]}, names=("seven", "none that are new"),
    )  # fmt: skip
    yield from pair(
        "OutboxStuck", CRITICAL, gauge("outbox_oldest_age_seconds", 'instance="a"', 31),
        gauge("outbox_oldest_age_seconds", 'instance="a"', 29),
    )  # fmt: skip
    yield from pair(
        "OutboxRefused", CRITICAL, gauge("outbox_refused", 'topic="rtcc.leads"', 1),
        gauge("outbox_refused", 'topic="rtcc.leads"', 0), labels={"topic": "rtcc.leads"},
    )  # fmt: skip
    standby, active = gauge("relay_active", 'instance="a"', 0), gauge("relay_active", 'instance="b"', 1)
    yield from pair("RelayMissing", CRITICAL, standby, standby | active, names=("one stands by", "one works"))
    yield from pair("RelayMissing", CRITICAL, {}, active, names=("nothing is scraped", "one works"))
    yield from pair(
        "TwoRelays", CRITICAL, active | gauge("relay_active", 'instance="a"', 1), active | standby,
        names=("both work", "one stands by"),
    )  # fmt: skip
    yield from pair("ProbesStranded", CRITICAL, gauge("probes_stranded", "", 1), gauge("probes_stranded", "", 0))
    failed = 'rtcc_bridge_searches_total{outcome="failed", purpose="violent_offense"}'
    found = 'rtcc_bridge_searches_total{outcome="no_candidate", purpose="violent_offense"}'
    yield from pair(
        "SearchesFail", CRITICAL, {failed: "0+0.3x40"}, {failed: "0+0x8 1+0x20", found: "0+5x40"},
        names=("one after the other", "one"),
    )  # fmt: skip
    yield Case(
        alert="SearchesFail", severity=CRITICAL, name="stills cannot be read", fires=True, at="16m",
        series={failed.replace("failed", "unreadable"): "0+0.3x40"},
    )  # fmt: skip
    young, old = 'gallery="city", instance="a"', 'gallery="city", instance="b"'
    yield from pair(
        "GalleryHeadUnconfirmed", CRITICAL,
        gauge("gallery_head_age_seconds", young, 11) | gauge("gallery_head_age_seconds", old, 90),
        gauge("gallery_head_age_seconds", young, 0.4) | gauge("gallery_head_age_seconds", old, 90),
        labels={"gallery": "city"}, names=("by none", "by one of two"),
    )  # fmt: skip
    yield from pair(
        "GalleryHeadUnconfirmed", WARNING,
        gauge("gallery_head_age_seconds", young, 0.4) | gauge("gallery_head_age_seconds", old, 90),
        gauge("gallery_head_age_seconds", young, 0.4) | gauge("gallery_head_age_seconds", old, 9),
        labels={"gallery": "city", "instance": "b"}, names=("not by one of two", "by both"),
    )  # fmt: skip
    yield from pair(
        "SentPicturesWait", WARNING, {"rtcc_bridge_sent_picture_wait_seconds": "0+60x20"},
        {"rtcc_bridge_sent_picture_wait_seconds": "0+60x3 0+20x16"},
        at="12m", names=("for many minutes", "for a while, and again"),
    )  # fmt: skip
    yield from pair(
        "SegmentsToScrub", WARNING, {"rtcc_bridge_segments_to_scrub": "2+0x90"},
        {"rtcc_bridge_segments_to_scrub": "2+0x30 0+0x5 2+0x60"},
        at="80m", names=("for an hour", "not for so long"),
    )  # fmt: skip
    yield from pair(
        "PurgeOverdue", WARNING, {"rtcc_bridge_purge_overdue_seconds": "180000+60x90"},
        {"rtcc_bridge_purge_overdue_seconds": "90000+60x90"},
        at="80m", names=("for two days", "for one day"),
    )  # fmt: skip
    yield from pair(
        "AuditUnacknowledged", CRITICAL,
        gauge("audit_unacknowledged_seconds", 'instance="a"', 90_000),
        gauge("audit_unacknowledged_seconds", 'instance="a"', 80_000),
        names=("for 25 hours", "for 22 hours"),
    )  # fmt: skip
    yield from pair(
        "AuditBehind", WARNING, gauge("audit_unsequenced_seconds", 'instance="a"', 40),
        gauge("audit_unsequenced_seconds", 'instance="a"', 2) | gauge("audit_journal_entries", 'instance="a"', 0),
        names=("no sequencer", "all have their place"),
    )  # fmt: skip
    yield Case(
        alert="AuditBehind", severity=WARNING, name="safer acts wait in the journal", fires=True, at="16m",
        series=gauge("audit_unsequenced_seconds", 'instance="a"', 2)
        | gauge("audit_journal_entries", 'instance="a"', 3),
    )  # fmt: skip
    yield from pair(
        "AuditContradicted", CRITICAL, gauge("audit_contradicted", 'instance="a", place="witness"', 1),
        gauge("audit_contradicted", 'instance="a", place="witness"', 0),
        labels={"place": "witness"}, names=("by a witness", "by nobody"),
    )  # fmt: skip
    yield from pair(
        "GpuLost", CRITICAL, gauge("gpu_lost", 'instance="a"', 1), gauge("gpu_lost", 'instance="a"', 0),
        labels={"instance": "a"},
    )  # fmt: skip
    died = 'rtcc_bridge_worker_restarts_total{instance="a", reason="crashed"}'
    yield from pair(
        "PictureWorkersDie", WARNING, {died: "0+1x40"}, {died: "0+0x8 2+0x20"},
        labels={"instance": "a"}, names=("one a minute", "two"),
    )  # fmt: skip
    for severity, bad, good in ((WARNING, 13, 15), (CRITICAL, 1, 3)):
        labels = 'setting="kafka.tls.ca_file", instance="a"'
        name = "certificate_expiry_timestamp_seconds"
        yield from pair(
            "CertificateExpires", severity,
            {f"rtcc_bridge_{name}{{{labels}}}": f"{bad * 86400}+0x40"},
            {f"rtcc_bridge_{name}{{{labels}}}": f"{good * 86400}+0x40"},
            labels={"setting": "kafka.tls.ca_file"}, names=(f"in {bad} days", f"in {good} days"),
        )  # fmt: skip
    for severity, bad, good in ((WARNING, 29, 31), (CRITICAL, 2, 4)):
        old, new = (f'rtcc_bridge_policy_expires_timestamp_seconds{{instance="{name}"}}' for name in "ab")
        yield from pair(
            "PolicyExpires", severity, {old: f"{bad * 86400}+0x40", new: f"{300 * 86400}+0x40"},
            {old: f"{good * 86400}+0x40", new: f"{300 * 86400}+0x40"},
            names=(f"in {bad} days, for a process that was not told of the next one", f"in {good} days"),
        )  # fmt: skip
    soon, later = (f'rtcc_bridge_certificates_expiring{{days="{days}", instance="a"}}' for days in ("30", "90"))
    yield from pair(
        "AnalystCertificatesEnd", WARNING, {soon: "1+0x40", later: "2+0x40"}, {soon: "0+0x40", later: "2+0x40"},
        labels={"days": "30"}, names=("one within the month", "two after it"),
    )  # fmt: skip
    for severity, low, enough in ((WARNING, 0.14, 0.16), (CRITICAL, 0.04, 0.06)):
        labels = 'volume="objects", instance="a"'
        size = gauge("volume_size_bytes", labels, 1000)
        yield from pair(
            "DiskSpaceLow", severity, size | gauge("volume_free_bytes", labels, 1000 * low),
            size | gauge("volume_free_bytes", labels, 1000 * enough),
            labels={"volume": "objects", "instance": "a"}, names=(f"{low:.0%} free", f"{enough:.0%} free"),
        )  # fmt: skip


def days() -> Iterator[Case]:
    """Samples and evaluations every half an hour, for the windows of days."""
    floor, search = "event_to_floor_seconds", "probe_to_candidates_seconds"
    yield from pair(
        "FloorLatencyBudgetBurn", WARNING,
        histogram(floor, 1000, 960, "0.5", 80), histogram(floor, 1000, 995, "0.5", 80),
        at="40h", names=("4 % are late for days", "half a per cent is"),
    )  # fmt: skip
    lately, for_days, ended = (
        {
            f'rtcc_bridge_{floor}_count{{instance="a"}}': "0+1000x200",
            f'rtcc_bridge_{floor}_bucket{{instance="a", le="0.5"}}': good,
        }
        for good in ("0+1000x140 140000+920x60", "0+980x200", "0+1000x158 158000+500x20 168000+1000x20")
    )
    yield Case(
        alert="FloorLatencyBudgetBurn", severity=CRITICAL, name="8 % are late for six hours", fires=True, at="77h",
        series=lately,
    )  # fmt: skip
    yield Case(
        alert="FloorLatencyBudgetBurn", severity=WARNING, name="2 % are late for three days", fires=True, at="80h",
        series=for_days,
    )  # fmt: skip
    yield Case(
        alert="FloorLatencyBudgetBurn", severity=CRITICAL, name="half were late, and none is any more", fires=False,
        at="91h", series=ended,
    )  # fmt: skip
    yield from pair(
        "CandidateLatencyBudgetBurn", WARNING,
        histogram(search, 10, 8, "1.0", 80), histogram(search, 10, 9.7, "1.0", 80),
        at="40h", names=("a fifth is late for days", "3 % are"),
    )  # fmt: skip
    yield from pair(
        "ImminentLaneBudgetBurn", WARNING,
        floor_of(relay="1+0x77 0+0x0 1+0x20"), floor_of(relay="1+0x30 0+0x0 1+0x60"),
        at="40h", names=("down an hour ago, for half an hour", "down yesterday, and sound since"),
    )  # fmt: skip
