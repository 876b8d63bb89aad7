"""The settings of the topics: their names, and what `topics create` gives them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from rtcc_bridge.settings_section import Section

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class TopicSettings(Section):
    """The topics: contract names by default."""

    incidents: TopicName = Field("rtcc.incidents", description="Incidents from dispatch (read).")
    threats: TopicName = Field("rtcc.threats", description="Imminent-threat alerts (read).")
    gallery_records: TopicName = Field(
        "rtcc.gallery.records", description="Bookings, sealing and expungement orders of the record system (read)."
    )
    leads: TopicName = Field("rtcc.leads", description="The life of each lead (written).")
    leads_exercise: TopicName = Field(
        "rtcc.leads.exercise", description="Leads of exercises, never live ones (written)."
    )
    probes_imminent: TopicName = Field(
        "rtcc-bridge.probes.imminent", description="Search requests of the imminent lane."
    )
    probes_routine: TopicName = Field("rtcc-bridge.probes.routine", description="Search requests of the routine lane.")
    gallery: TopicName = Field("rtcc-bridge.gallery", description="Notices that a gallery's head moved.")
    dead_letters: TopicName = Field("rtcc-bridge.dead-letters", description="What could not be processed (written).")
    audit_checkpoints: TopicName = Field(
        "rtcc.audit.checkpoints", description="Signed heads of the audit log (written)."
    )
    partitions: int = Field(6, ge=1, le=1000, description="Partitions that `topics create` gives to each topic.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of each partition; 3 in production.")
    min_insync_replicas: int = Field(
        1, ge=1, le=9, description="Copies that have to hold a record before it counts as written; 2 in production."
    )
    input_retention_hours: float = Field(
        168.0,
        gt=0,
        le=8760,
        description="How long incidents, threats and gallery records are kept: the longest outage to make up for.",
    )
    probe_retention_hours: float = Field(
        24.0, gt=0, le=8760, description="How long search requests are kept; open ones are requested again anyway."
    )
    leads_retention_days: float = Field(90.0, gt=0, le=3650, description="How long the events of leads are kept.")
    checkpoint_retention_days: float = Field(
        365.0, gt=0, le=36500, description="How long the signed heads of the audit log are kept."
    )
    dead_letter_retention_days: float = Field(30.0, gt=0, le=3650, description="How long dead letters are kept.")

    @property
    def input_segment_hours(self) -> float:
        """Records leave a topic in segments: a segment begins anew after this time."""
        return min(12.0, self.input_retention_hours / 2)

    @property
    def longest_input_hours(self) -> float:
        """How old a record of a topic that is read can be: the oldest waits for the newest of its segment."""
        return self.input_retention_hours + self.input_segment_hours

    @model_validator(mode="after")
    def _some_copy_may_be_away(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            message = (
                "min_insync_replicas is larger than replication_factor, so nothing could ever be written: "
                "in production 2 of 3 are usual"
            )
            raise ValueError(message)
        return self
