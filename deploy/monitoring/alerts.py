"""The alerts that say what is wrong, beside those on the promises (`slo.py`)."""

from collections.abc import Iterator, Sequence
from typing import Final

from deploy.monitoring.rules import Alert, Group, Severity
from deploy.monitoring.slo import slo_groups

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING

OURS: Final = 'job=~".*rtcc-bridge.*"'
"""What Prometheus scrapes of this program. Operators of Prometheus name jobs as they like, so only this is asked."""

ROLES: Final = ("web", "consumer", "matcher", "relay")

_CLOCK_OFF: Final = (
    "Compared with the database's. Deadlines and the times in the log are wrong; from two minutes on, searches are "
    "refused and asked for again."
)

PROCESSES: Final = (
    Alert(
        name="ProcessDown",
        expr=f"up{{{OURS}}} == 0",
        hold="2m",
        severity=WARNING,
        summary="A process of rtcc-bridge does not answer Prometheus",
        description="{{ $labels.instance }} ({{ $labels.job }}) could not be scraped for two minutes.",
    ),
    Alert(
        name="RoleMissing",
        expr="\nor ".join(f'absent(rtcc_bridge_process_role{{role="{role}"}})' for role in ROLES),
        hold="1m",
        severity=CRITICAL,
        summary="No process has the role {{ $labels.role }}",
        description=(
            "Prometheus has heard of none for a minute. Without web there is no board, without consumer no new "
            "incident, without matcher no search, without relay nothing new on the board or in any other system."
        ),
    ),
    Alert(
        name="NotReady",
        expr="max by (dependency) (rtcc_bridge_ready) == 0",
        hold="1m",
        severity=CRITICAL,
        summary="{{ $labels.dependency }} is ready in no process",
        description="/readyz says why. Work that needs {{ $labels.dependency }} waits; nothing is lost meanwhile.",
    ),
    Alert(
        name="NotReady",
        expr="rtcc_bridge_ready == 0",
        hold="10m",
        severity=WARNING,
        summary="{{ $labels.dependency }} is not ready in {{ $labels.instance }}",
        description="Other processes may do this one's work. /readyz of {{ $labels.instance }} says why.",
    ),
    Alert(
        name="ProcessRestarts",
        expr=f"changes(process_start_time_seconds{{{OURS}}}[1h]) > 3",
        severity=WARNING,
        summary="{{ $labels.instance }} is started again and again",
        description="It started {{ $value }} times within an hour. The log's last lines before each start say why.",
    ),
    Alert(
        name="ClockOff",
        expr="abs(rtcc_bridge_clock_offset_seconds) > 30",
        hold="2m",
        severity=WARNING,
        summary="The clock of {{ $labels.instance }} is off by {{ $value | humanizeDuration }}",
        description=_CLOCK_OFF,
    ),
    Alert(
        name="ClockOff",
        expr="abs(rtcc_bridge_clock_offset_seconds) > 90",
        hold="1m",
        severity=CRITICAL,
        summary="The clock of {{ $labels.instance }} is off by {{ $value | humanizeDuration }}",
        description=_CLOCK_OFF,
    ),
)

STREAM: Final = (
    Alert(
        name="ConsumerLag",
        expr=(
            'sum by (topic) (rtcc_bridge_consumer_lag{topic=~".*probes\\\\.imminent"}) > 5\n'
            'or sum by (topic) (rtcc_bridge_consumer_lag{topic!~".*(probes\\\\..*|gallery\\\\.records)"}) > 1000'
        ),
        hold="1m",
        severity=CRITICAL,
        summary="The floor is behind: {{ $value }} records of {{ $labels.topic }} wait",
        description="Of the imminent lane more than 5 searches, or of incidents and threats more than 1000 records.",
    ),
    Alert(
        name="ConsumerLag",
        expr=(
            'sum by (topic) (rtcc_bridge_consumer_lag{topic=~".*probes\\\\.routine"}) > 200\n'
            'or sum by (topic) (rtcc_bridge_consumer_lag{topic=~".*gallery\\\\.records"}) > 1000'
        ),
        hold="10m",
        severity=WARNING,
        summary="Routine searches, or the record system's orders, pile up",
        description="{{ $value }} records wait on {{ $labels.topic }}.",
    ),
    Alert(
        name="TopicPaused",
        expr="max by (topic) (rtcc_bridge_topic_paused) == 1",
        severity=CRITICAL,
        summary="{{ $labels.topic }} is not read: too many of its records cannot be processed",
        description="It is tried again after `kafka.dead_letter_pause_seconds`. Meanwhile its good records wait too.",
    ),
    Alert(
        name="DeadLetters",
        expr=(
            "(\n  sum by (topic) (increase(rtcc_bridge_dead_letters_total[15m]))\n"
            "  / sum by (topic) (increase(rtcc_bridge_events_total[15m])) > 0.01\n)\n"
            "and sum by (topic) (increase(rtcc_bridge_dead_letters_total[15m])) > 4"
        ),
        severity=WARNING,
        summary="{{ $value | humanizePercentage }} of {{ $labels.topic }} cannot be processed",
        description="Each such record is kept as a dead letter and can be replayed when its cause is gone.",
    ),
    Alert(
        name="DeadLetters",
        expr='sum by (topic) (increase(rtcc_bridge_dead_letters_total{topic=~".*threats"}[15m])) > 0',
        severity=CRITICAL,
        summary="A record of {{ $labels.topic }} could not be processed: it may have been an imminent threat",
        description="What it told is not on the board. It is kept as a dead letter: look what it says.",
    ),
    Alert(
        name="RecordsLost",
        expr="sum by (topic) (increase(rtcc_bridge_records_lost_total[1h])) > 0",
        severity=CRITICAL,
        summary="Records of {{ $labels.topic }} were deleted before they were read",
        description="At most {{ $value | humanize }}: the topic keeps them for less time than nobody read them.",
    ),
    Alert(
        name="OutboxStuck",
        expr="max(rtcc_bridge_outbox_oldest_age_seconds) > 30",
        hold="30s",
        severity=CRITICAL,
        summary="What was decided does not leave: the oldest event waits for {{ $value | humanizeDuration }}",
        description="After `relay.backlog_age_limit_seconds` (120 s) no further still is accepted.",
    ),
    Alert(
        name="OutboxRefused",
        expr="max by (topic) (rtcc_bridge_outbox_refused) > 0",
        hold="1m",
        severity=CRITICAL,
        summary="The broker refuses events for {{ $labels.topic }} as too large",
        description="{{ $value }} events wait, and with each all later ones of its incident.",
    ),
    Alert(
        name="RelayMissing",
        expr="(sum(rtcc_bridge_relay_active) or vector(0)) < 1",
        hold="1m",
        severity=CRITICAL,
        summary="No relay is active: nothing new reaches the board or any other system",
        description="No process holds the relay's lock, or none that does could be scraped, for a minute.",
    ),
    Alert(
        name="TwoRelays",
        expr="sum(rtcc_bridge_relay_active) > 1",
        hold="2m",
        severity=CRITICAL,
        summary="{{ $value }} processes say that they are the one relay",
        description="No place on the feed is given twice, but events may be published twice and out of order.",
    ),
)

SEARCHES: Final = (
    Alert(
        name="ProbesStranded",
        expr="max(rtcc_bridge_probes_stranded) > 0",
        hold="1m",
        severity=CRITICAL,
        summary="{{ $value }} authorized searches get no outcome",
        description="Each was requested more than five times. An analyst waits, under a threat perhaps.",
    ),
    Alert(
        name="SearchesFail",
        expr='sum(increase(rtcc_bridge_searches_total{outcome=~"failed|unreadable"}[15m])) > 2.5',
        severity=CRITICAL,
        summary="Searches fail: {{ $value | humanize }} in 15 minutes",
        description="A failed search is requested again; an unreadable still has to be attached again by its analyst.",
    ),
    Alert(
        name="GalleryHeadUnconfirmed",
        expr="min by (gallery) (rtcc_bridge_gallery_head_age_seconds) > 10",
        hold="1m",
        severity=CRITICAL,
        summary="No matcher may search {{ $labels.gallery }}: none can confirm who was removed from it",
        description="The head was last confirmed {{ $value | humanizeDuration }} ago; after 10 s searches stop (P25).",
    ),
    Alert(
        name="GalleryHeadUnconfirmed",
        expr="rtcc_bridge_gallery_head_age_seconds > 10",
        hold="5m",
        severity=WARNING,
        summary="{{ $labels.instance }} cannot confirm the head of {{ $labels.gallery }} and does not search",
        description="The head was last confirmed {{ $value | humanizeDuration }} ago. Other matchers may do its work.",
    ),
    Alert(
        name="SentPicturesWait",
        expr="max(rtcc_bridge_sent_picture_wait_seconds) > 300",
        hold="1m",
        severity=WARNING,
        summary="A picture sent for a gallery waits for its template for {{ $value | humanizeDuration }}",
        description="A matcher makes it, in a second or two. Until then nobody on it is in that gallery.",
    ),
    Alert(
        name="SegmentsToScrub",
        expr="max(rtcc_bridge_segments_to_scrub) > 0",
        hold="1h",
        severity=WARNING,
        summary="Templates of removed people still lie in {{ $value }} segments",
        description="They can be in no lead, but their bytes should be gone: the second receipt waits for that (P25).",
    ),
    Alert(
        name="PurgeOverdue",
        expr="max(rtcc_bridge_purge_overdue_seconds) > 2 * 86400",
        hold="1h",
        severity=WARNING,
        summary="What should have been purged is still kept, since {{ $value | humanizeDuration }}",
        description="A search whose time is over by the policy, and that no hold keeps: see the relay's log (P24).",
    ),
    Alert(
        name="GpuLost",
        expr="max by (instance) (rtcc_bridge_gpu_lost) == 1",
        hold="1m",
        severity=CRITICAL,
        summary="{{ $labels.instance }} does on the CPU what its GPU should do",
        description="Searches go on, many times slower.",
    ),
    Alert(
        name="PictureWorkersDie",
        expr="sum by (instance) (increase(rtcc_bridge_worker_restarts_total[15m])) > 5",
        severity=WARNING,
        summary="Picture workers of {{ $labels.instance }} die: {{ $value | humanize }} in 15 minutes",
        description="Stills are refused meanwhile, or take long. One still may be sent again and again.",
    ),
)

SURROUNDINGS: Final = (
    Alert(
        name="CertificateExpires",
        expr="min by (setting) (rtcc_bridge_certificate_expiry_timestamp_seconds) - time() < 14 * 86400",
        hold="10m",
        severity=WARNING,
        summary="The certificate of {{ $labels.setting }} expires in {{ $value | humanizeDuration }}",
        description="A process that starts after that refuses to.",
    ),
    Alert(
        name="CertificateExpires",
        expr="min by (setting) (rtcc_bridge_certificate_expiry_timestamp_seconds) - time() < 2 * 86400",
        severity=CRITICAL,
        summary="The certificate of {{ $labels.setting }} expires in {{ $value | humanizeDuration }}",
        description="A process that starts after that refuses to, and new connections fail.",
    ),
    Alert(
        name="PolicyExpires",
        expr="min(rtcc_bridge_policy_expires_timestamp_seconds) - time() < 30 * 86400",
        hold="10m",
        severity=WARNING,
        summary="The policy expires in {{ $value | humanizeDuration }}",
        description="Two people have to sign the next one, the administrator and the city.",
    ),
    Alert(
        name="PolicyExpires",
        expr="min(rtcc_bridge_policy_expires_timestamp_seconds) - time() < 3 * 86400",
        severity=CRITICAL,
        summary="The policy expires in {{ $value | humanizeDuration }}",
        description="From then on no search is begun, not for an imminent threat either, and no process starts.",
    ),
    Alert(
        name="AnalystCertificatesEnd",
        expr='max by (days) (rtcc_bridge_certificates_expiring{days="30"}) > 0',
        hold="10m",
        severity=WARNING,
        summary="{{ $value }} analysts lack a certificate that they need, or will within {{ $labels.days }} days",
        description="From the end of its last day on they begin no new work (P10), and a lead needs two of them.",
    ),
    Alert(
        name="DiskSpaceLow",
        expr="rtcc_bridge_volume_free_bytes / rtcc_bridge_volume_size_bytes < 0.15",
        hold="10m",
        severity=WARNING,
        summary="{{ $value | humanizePercentage }} of the volume for {{ $labels.volume }} is free",
        description="On {{ $labels.instance }}.",
    ),
    Alert(
        name="DiskSpaceLow",
        expr="rtcc_bridge_volume_free_bytes / rtcc_bridge_volume_size_bytes < 0.05",
        hold="1m",
        severity=CRITICAL,
        summary="{{ $value | humanizePercentage }} of the volume for {{ $labels.volume }} is free",
        description="On {{ $labels.instance }}. A full volume stops everything that is written to it.",
    ),
)


AUDIT: Final = (
    Alert(
        name="AuditUnacknowledged",
        expr="max(rtcc_bridge_audit_unacknowledged_seconds) > 86400",
        severity=CRITICAL,
        summary="Nobody outside has acknowledged the audit log for {{ $value | humanizeDuration }}",
        description="What was done since then could be rewritten without anybody outside being able to show it (P22).",
    ),
    Alert(
        name="AuditBehind",
        expr="max(rtcc_bridge_audit_unsequenced_seconds) > 30 or max(rtcc_bridge_audit_journal_entries) > 0",
        hold="5m",
        severity=WARNING,
        summary="Entries of the audit log wait for their place",
        description="The sequencer runs in the role relay; a journal waits for it, or has what it never takes (P23).",
    ),
    Alert(
        name="AuditContradicted",
        expr="max by (place) (rtcc_bridge_audit_contradicted) == 1",
        severity=CRITICAL,
        summary="The {{ $labels.place }} holds a checkpoint that the audit log does not continue",
        description="The database was rolled back or rewritten: keep everything as it is, and look who did it.",
    ),
)


def groups() -> Sequence[Group]:
    """Every rule there is."""
    return (
        *slo_groups(),
        Group("rtcc-bridge-processes", PROCESSES),
        Group("rtcc-bridge-stream", STREAM),
        Group("rtcc-bridge-searches", SEARCHES),
        Group("rtcc-bridge-surroundings", SURROUNDINGS),
        Group("rtcc-bridge-audit", AUDIT),
    )


def alerts() -> Iterator[Alert]:
    return (alert for group in groups() for alert in group.alerts)
