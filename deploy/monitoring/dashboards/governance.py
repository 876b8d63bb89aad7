"""Governance: what was refused by which rule, and how long people took. Counts only: who it was is in the audit log."""

from typing import Final

from deploy.monitoring.panels import Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.queries import PREFIX, heatmap, quantile

DAY: Final = "1d"

GOVERNANCE: Final = Dashboard(
    name="governance",
    title="governance",
    description="Refusals by rule, approvals, acknowledgements, expungements. Human time is shown, never pushed.",
    panels=(
        Panel(
            title="Refusals by rule, last day",
            description="Rules are those of docs/policy.md. Whom and why is in the audit log.",
            queries=(Query(f"sort_desc(round(sum by (rule) (increase({PREFIX}policy_refusals_total[{DAY}]))) > 0)"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Refusals by rule",
            description="In each hour.",
            queries=(Query(f"round(sum by (rule) (increase({PREFIX}policy_refusals_total[1h]))) > 0", "{{rule}}"),),
            stacked=True,
        ),
        Panel(
            title="Policy in force",
            description="Days until it expires, by process. After that no search is begun, outside the demo (P21).",
            queries=(Query(f"({PREFIX}policy_expires_timestamp_seconds - time()) / 86400", "{{instance}}"),),
            limit=30,
            low_is_bad=True,
        ),
        Panel(
            title="Policy read again, last day",
            description="A refused one left the one before in force; the log and the audit log say why.",
            queries=(Query(f"round(sum by (outcome) (increase({PREFIX}policy_reloads_total[{DAY}])))"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Approvals that lapsed, last day",
            description="An imminent search whose supervisor did not approve within the hour: its lead was withdrawn.",
            queries=(Query(f'round(sum(increase({PREFIX}leads_total{{state="approval_lapsed"}}[{DAY}])))', "leads"),),
            kind=Kind.STAT,
            limit=1,
        ),
        Panel(
            title="Analysts whose certificates end",
            description="Within so many days; 0: one has ended, and they can begin no new work (P10).",
            queries=(Query(f"max by (days) ({PREFIX}certificates_expiring)", "{{days}} days"),),
        ),
        Panel(
            title="Signs of misuse",
            description="Patterns that a person should look into, by kind; whose they are: rtcc-bridge report misuse.",
            queries=(Query(f"max by (signal) ({PREFIX}misuse_signals)"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Withdrawals not acknowledged",
            description="Receivers who have not acknowledged for more than a day that a lead has ended (P19).",
            queries=(Query(f"max by (receiver) ({PREFIX}withdrawals_unacknowledged)"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Time to approval",
            description="From the chosen face to the supervisor's approval.",
            queries=(
                Query(quantile(0.5, "time_to_approval_seconds", ("lane",)), "half of them, {{lane}}"),
                Query(quantile(0.95, "time_to_approval_seconds", ("lane",)), "95 %, {{lane}}"),
            ),
            unit=Unit.SECONDS,
        ),
        heatmap("Time to approval", "From the chosen face to the supervisor's approval.", "time_to_approval_seconds"),
        Panel(
            title="Time to acknowledgement",
            description="From a lead on the feed to the analyst who takes it.",
            queries=(
                Query(quantile(0.5, "time_to_acknowledge_seconds", ("lane",)), "half of them, {{lane}}"),
                Query(quantile(0.95, "time_to_acknowledge_seconds", ("lane",)), "95 %, {{lane}}"),
            ),
            unit=Unit.SECONDS,
        ),
        heatmap(
            "Time to acknowledgement",
            "From a lead on the feed to the analyst who takes it.",
            "time_to_acknowledge_seconds",
        ),
        Panel(
            title="Time to peer review",
            description="From the opening of a lead's peer review to the reviewer's conclusion.",
            queries=(
                Query(quantile(0.5, "time_to_peer_review_seconds", ("lane",)), "half of them, {{lane}}"),
                Query(quantile(0.95, "time_to_peer_review_seconds", ("lane",)), "95 %, {{lane}}"),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="From threat to release",
            description="From an incident's first imminent threat to the release of a lead on it.",
            queries=(
                Query(quantile(0.5, "threat_to_release_seconds"), "half of them"),
                Query(quantile(0.95, "threat_to_release_seconds"), "95 %"),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Images removed from galleries",
            description="In each hour: by sealing and expungement orders, and at the end of their retention.",
            queries=(Query(f"round(sum by (why) (increase({PREFIX}gallery_removals_total[1h]))) > 0", "{{why}}"),),
            stacked=True,
        ),
        Panel(
            title="Images past their retention",
            description="Still searched. The relay removes them every minute.",
            queries=(Query(f"max({PREFIX}images_past_retention)", "images"),),
            limit=1,
        ),
        Panel(
            title="Releases without an answer",
            description="In each day: what was released, and ended before its requestor said what came of it (P18).",
            queries=(Query(f"round(sum by (lane) (increase({PREFIX}leads_unanswered_total[1d]))) > 0", "{{lane}}"),),
        ),
        Panel(
            title="Searches purged",
            description="In each hour: pictures, lists, names and words, at the end of their time (P24).",
            queries=(Query(f"round(sum by (outcome) (increase({PREFIX}purged_total[1h]))) > 0", "{{outcome}}"),),
        ),
        Panel(
            title="Searches that are due to be purged",
            description="The relay purges them every minute, unless the clock has leapt ahead.",
            queries=(
                Query(f"max({PREFIX}purges_due)", "searches"),
                Query(f"max({PREFIX}purge_overdue_seconds) / 86400", "days that the oldest waits"),
            ),
            limit=1,
        ),
        Panel(
            title="Searches by purpose, last day",
            description="Purposes are a closed list (P02).",
            queries=(Query(f"round(sum by (purpose) (increase({PREFIX}searches_total[{DAY}])))"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Leads by state, last day",
            description="Withdrawn and expired ones are to be used by nobody.",
            queries=(Query(f"round(sum by (state) (increase({PREFIX}leads_total[{DAY}])))"),),
            kind=Kind.TABLE,
        ),
        heatmap(
            "Expungement until every row is dropped",
            "From its transaction until a matcher had dropped the rows (P25).",
            "expunge_effective_seconds",
            width=12,
        ),
        Panel(
            title="Removed templates whose bytes are still there",
            description="Segments that are not rewritten yet.",
            queries=(Query(f"max({PREFIX}segments_to_scrub)", "segments"),),
            width=12,
        ),
        Panel(
            title="Audit log: entries in the tree",
            description="Of the one sequencer; each is counted when it has its place.",
            queries=(Query(f"max({PREFIX}audit_entries)", "entries"),),
        ),
        heatmap("Audit log: from the act to its place", "A second is promised.", "audit_sequencing_seconds"),
        Panel(
            title="Audit log: what waits, and for how long",
            description="For a place in the tree, and for somebody outside to acknowledge a checkpoint (P22).",
            queries=(
                Query(f"max({PREFIX}audit_unsequenced_seconds)", "place in the tree"),
                Query(f"max({PREFIX}audit_unacknowledged_seconds)", "acknowledgement outside"),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Audit log: contradicted from outside",
            description="1: the place holds a checkpoint that the database does not continue.",
            queries=(Query(f"max by (place) ({PREFIX}audit_contradicted)", "{{place}}"),),
            limit=1,
            width=12,
        ),
        Panel(
            title="Audit log: entries in journals",
            description="Acts that only make things safer went on while the log took no entry (P23).",
            queries=(Query(f"sum({PREFIX}audit_journal_entries)", "entries"),),
            limit=1,
            width=12,
        ),
    ),
)
