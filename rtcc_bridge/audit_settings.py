"""The settings of the audit log."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from rtcc_bridge.settings_section import Seconds, Section


class AuditSettings(Section):
    """The tamper-evident log: who signs its checkpoints, how often, and where they are kept outside."""

    origin: str = Field(
        "rtcc-bridge",
        pattern=r"^[A-Za-z0-9._/-]{1,200}$",
        description="What checkpoints call the log, before a random part; best a name in the agency's own domain.",
    )
    signing_key_file: Path | None = Field(
        None,
        description="File with the Ed25519 key that signs checkpoints: 32 bytes in base64, mode 0600, or 0440 where it "
        "is another user's; the demo profile creates it. Further lines are earlier keys, which vouch for the first.",
    )
    signing_key: SecretStr | None = Field(
        None, description="That key in base64 (from the environment), instead of the file; earlier ones behind it."
    )
    checkpoint_entries: int = Field(
        1000, ge=1, le=1_000_000, description="So many new entries are followed by a checkpoint at once."
    )
    checkpoint_seconds: Seconds = Field(60.0, description="Fewer new entries are followed by one after this time.")
    checkpoint_file: Path | None = Field(None, description="File that always holds the newest checkpoint.")
    outside_url: str | None = Field(
        None,
        description="Store outside the agency's control that keeps every checkpoint: s3://bucket/prefix (best with "
        "object lock), or a folder as file:///path or file:path. Not that of the sealed objects.",
    )
    witness_url: str | None = Field(
        None,
        pattern=r"^https://[^\s/]+(/[^\s]*)?$|^http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]+)?(/[^\s]*)?$",
        description="Submission prefix of a witness (C2SP tlog-witness), who signs checkpoints that continue the last "
        "one. Plain http only on loopback.",
    )
    witness_key: str | None = Field(
        None,
        max_length=512,
        description="The verifier key (name+id+key) by which the witness's signatures are checked.",
    )
    journal_folder: Path = Field(
        Path("var/audit-journal"),
        description="Folder of this machine where entries of acts that only make things safer wait, while the log "
        "cannot be written (P23).",
    )
    timeout_seconds: Seconds = Field(10.0, description="Limit of one call to the store or the witness.")

    @field_validator("outside_url")
    @classmethod
    def _from_the_working_directory(cls, url: str | None) -> str | None:
        """Every other path is relative to the working directory too."""
        if url is None or url.startswith(("file:///", "s3://")):
            return url
        if not url.startswith("file:") or url.startswith("file:/"):
            raise ValueError("only file:///path, file:path and s3://bucket/prefix are supported")
        return f"file://{Path(url.removeprefix('file:')).absolute()}"
