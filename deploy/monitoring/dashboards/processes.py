"""Processes: memory, files, disks, certificates, clocks."""

from typing import Final

from deploy.monitoring.alerts import OURS
from deploy.monitoring.panels import RATE, Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.queries import PREFIX

PROCESSES: Final = Dashboard(
    name="processes",
    title="processes",
    description="What each process is, uses and needs of its machine.",
    panels=(
        Panel(
            title="Versions",
            description="During an upgrade there are two.",
            queries=(Query(f"count by (version) ({PREFIX}build_info)"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Scraped",
            description="1 while Prometheus reaches the process.",
            queries=(Query(f"up{{{OURS}}}", "{{instance}}"),),
        ),
        Panel(
            title="Running since",
            description="A step down is a restart.",
            queries=(Query(f"time() - process_start_time_seconds{{{OURS}}}", "{{instance}}"),),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Memory",
            description="Resident. The gallery is most of a matcher's.",
            queries=(
                Query(f"process_resident_memory_bytes{{{OURS}}}", "{{instance}}"),
                Query(f"process_virtual_memory_bytes{{{OURS}}}", "{{instance}}, address space"),
            ),
            unit=Unit.BYTES,
        ),
        Panel(
            title="CPU",
            description="1 is one core.",
            queries=(Query(f"rate(process_cpu_seconds_total{{{OURS}}}[{RATE}])", "{{instance}}"),),
        ),
        Panel(
            title="File descriptors",
            description="As a share of those that may be open.",
            queries=(Query(f"process_open_fds{{{OURS}}} / process_max_fds{{{OURS}}}", "{{instance}}"),),
            unit=Unit.SHARE,
            limit=0.8,
        ),
        Panel(
            title="Free disk space",
            description="Of the volumes that the program keeps its data on.",
            queries=(Query(f"{PREFIX}volume_free_bytes / {PREFIX}volume_size_bytes", "{{volume}}, {{instance}}"),),
            unit=Unit.SHARE,
            limit=0.15,
            low_is_bad=True,
        ),
        Panel(
            title="Certificates",
            description="Days until the first certificate of each file expires. A start after that fails.",
            queries=(
                Query(
                    f"min by (setting) ({PREFIX}certificate_expiry_timestamp_seconds - time()) / 86400",
                    "{{setting}}",
                ),
            ),
        ),
        Panel(
            title="Clock against the database's",
            description="From two minutes on, searches are refused and asked for again. Nothing on SQLite.",
            queries=(Query(f"abs({PREFIX}clock_offset_seconds)", "{{instance}}"),),
            unit=Unit.SECONDS,
            limit=30,
        ),
        Panel(
            title="Spans lost, last hour",
            description="Of traces, where they are on: not_sent when the collector did not take them; see the log.",
            queries=(Query(f"sum by (reason) (increase({PREFIX}spans_lost_total[1h]))", "{{reason}}"),),
        ),
    ),
)
