"""Everything that people do about what is kept, reached from one place (P24)."""

from rtcc_bridge.retention.dispositions import DispositionDesk
from rtcc_bridge.retention.holds import HoldDesk
from rtcc_bridge.retention.overview import RetentionOverview
from rtcc_bridge.retention.parts import RetentionParts


class RetentionDesk:
    """Looks, legal holds, dispositions."""

    def __init__(self, parts: RetentionParts) -> None:
        self.overview = RetentionOverview(parts)
        self.holds = HoldDesk(parts)
        self.dispositions = DispositionDesk(parts)
