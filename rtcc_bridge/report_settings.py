"""The settings of the reports."""

from pathlib import Path

from pydantic import Field

from rtcc_bridge.settings_section import Section


class ReportSettings(Section):
    """What reports are signed with, and what they read beside the database."""

    signing_key_file: Path | None = Field(
        None,
        description="Private key (Ed25519, PEM) that signs discovery packets: mode 0600, or 0440 where it is another "
        "user's; the demo profile creates it. Needed by the role web and by the command that makes packets.",
    )
    roster_file: Path | None = Field(
        None,
        description="Shifts by account as CSV (account,begins,ends), which the shift system keeps writing. Without it "
        "off-shift use is no sign of misuse (P27).",
    )
