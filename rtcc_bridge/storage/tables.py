"""The tables. Times are aware and in UTC; documents are JSON; identifiers that leave the program are random text."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None or value.tzinfo is not None:
            return value  # type: ignore[no-any-return]  # the driver's value is a datetime
        return value.replace(tzinfo=UTC)  # type: ignore[no-any-return]


Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER

LIVING_SOURCES = "ix_gallery_images_living_sources"
"""An index that SQLite alone has."""

input_events = Table(
    "input_events",
    metadata,
    Column("source", String(512), primary_key=True),
    Column("event_id", String(512), primary_key=True),
    Column("topic", String(249), nullable=False),
    Column("value_sha256", String(64)),  # of what the event says, however it was written; none: not known
    Column("received_at", UtcDateTime, nullable=False, index=True),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", String(256), primary_key=True),
    Column("incident_type", String(64), nullable=False),
    Column("status", String(32), nullable=False, index=True),  # open, closed, cancelled, unfounded, merged
    Column("priority", Integer),
    Column("agency_id", String(256)),
    Column("case_number", String(256)),
    Column("merged_into", String(256)),
    Column("refused_type", String(64)),  # an absolutely refused type (P02) that an event named, whatever came later
    Column("exercise", Boolean, nullable=False),
    Column("opened_at", UtcDateTime),
    Column("last_update_at", UtcDateTime, nullable=False),  # the sender's time: the newest wins
    Column("data", JSON, nullable=False),  # all that came, unknown fields too
    Column("versions", JSON, nullable=False),  # for each field of `data` the version that wrote it
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("traceparent", String(55)),  # W3C Trace Context, while traces are on
    Index("ix_incidents_merged_into", "merged_into"),
)

threats = Table(
    "threats",
    metadata,
    Column("identifier", String(256), primary_key=True),
    Column("incident_id", String(256), nullable=False, index=True),
    Column("sender", String(256), nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("message_type", String(16), nullable=False),  # Alert, Update, Cancel
    Column(
        "event_id", String(1025), nullable=False
    ),  # source and id of the event that wrote this row, which breaks ties
    Column("state", String(16), nullable=False),  # active, superseded, cancelled
    Column("imminent", Boolean, nullable=False),
    Column("exercise", Boolean, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("data", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

threat_incidents = Table(
    "threat_incidents",
    metadata,
    Column("identifier", String(256), ForeignKey("threats.identifier"), primary_key=True),
    Column("incident_id", String(256), primary_key=True, index=True),
)

threat_references = Table(
    "threat_references",
    metadata,
    Column("identifier", String(256), ForeignKey("threats.identifier"), primary_key=True),
    Column("referenced", String(256), primary_key=True, index=True),  # an earlier message, perhaps not seen yet
)

object_keys = Table(
    "object_keys",
    metadata,
    Column("object_key", String(256), primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("master_key_id", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

probes = Table(
    "probes",
    metadata,
    Column("probe_id", String(64), primary_key=True),
    Column("incident_id", String(256), nullable=False, index=True),
    Column("state", String(32), nullable=False, index=True),
    Column("lane", String(16), nullable=False),
    Column("exercise", Boolean, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("legal_basis", String(1024), nullable=False),
    Column("case_number", String(256), nullable=False),
    Column("requestor", String(256), nullable=False),
    Column("analyst", String(256), nullable=False),
    Column("original_object", String(256)),
    Column("original_sha256", String(64), index=True),
    Column("image_width", Integer),
    Column("image_height", Integer),
    Column("faces", JSON),  # list of {number, box, landmarks, detectionScore, quality}
    Column("chosen_face", Integer),
    Column("chosen_at", UtcDateTime),  # the wait for the supervisor's approval is counted from here
    Column("crop_object", String(256)),
    Column("crop_width", Integer),
    Column("crop_height", Integer),
    Column("crop_landmarks", JSON),
    Column("approval", String(16), nullable=False),  # none, pending, granted, refused, lapsed
    Column("approve_by", UtcDateTime),
    Column("approved_by", String(256)),
    Column("approved_at", UtcDateTime),
    Column("policy_hash", String(64), nullable=False),
    Column("authority_at", UtcDateTime, index=True),  # from this moment the search may run
    Column("requested_at", UtcDateTime),  # last time that the search request was put in the outbox
    Column("requests", Integer, nullable=False, default=0),
    Column("state_reason", String(1024)),  # why it was refused, withdrawn or found too poor, in plain words
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("traceparent", String(55)),  # W3C Trace Context, while traces are on
    Column("warrant_or_exigency", String(1024)),  # what the jurisdiction asks for (P09)
    Column("same_person_as", String(64), index=True),  # the probe whose approval covers this still too (P01)
    Column("authority_token", JSON),  # signed when the authority was given: without it nothing is requested again (P30)
    Column("edits", JSON),  # the steps that lead from the original to what `faces` was found in (P05)
    Column("crop_sha256", String(64), index=True),  # of the cut-out face's pixels: the same face in another copy (P12)
    Column("purged_at", UtcDateTime),  # pictures, names and words are gone; the row says that there was a search (P24)
    Column("cut_from", JSON),  # which frame of which clip the still was
    Column("named_incident_id", String(256), index=True),  # what it was attached to: `incident_id` follows merges (P08)
    # Only of what is kept: what was purged would fill the past of it.
    Index(
        "ix_probes_kept_created_at",
        "created_at",
        sqlite_where=text("purged_at IS NULL"),
        postgresql_where=text("purged_at IS NULL"),
    ),
    Index("ix_probes_case_number", "case_number"),
    Index("ix_probes_approval", "approval"),
)

clips = Table(
    "clips",
    metadata,
    Column("clip_id", String(64), primary_key=True),
    Column("incident_id", String(256), nullable=False),
    Column("analyst", String(256), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("form", JSON),  # what was stated beside it, until it ends
    Column("clip_object", String(256)),
    Column("clip_sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("frames", JSON),  # list of [number, milliseconds, sharpness]
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime),  # for earlier programs beside this one: they note the first look, and read it
    Column("ended_at", UtcDateTime),  # the sealed clip is gone since
    Column("outcome", String(16)),  # chosen, expired
    Column("probe_id", String(64)),
    # Few are kept at any time; what has ended would fill the past of it.
    Index(
        "ix_clips_kept", "expires_at", sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")
    ),
)

probe_openings = Table(
    "probe_openings",
    metadata,
    Column("probe_id", String(64), primary_key=True),
    Column("account", String(256), primary_key=True),
    Column("opened_at", UtcDateTime, nullable=False),  # for the first time
)

deferral_lifts = Table(
    "deferral_lifts",
    metadata,
    Column("lift_id", String(64), primary_key=True),
    Column("analyst", String(256), nullable=False, index=True),
    Column("lifted_by", String(256), nullable=False),
    Column("lifted_at", UtcDateTime, nullable=False),  # lapses up to here count no more (P14)
    Column("reason", String(1024), nullable=False),
)

imminent_declarations = Table(
    "imminent_declarations",
    metadata,
    Column("incident_id", String(256), primary_key=True),
    Column("declared_by", String(256), nullable=False),
    Column("declared_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("reason", String(1024), nullable=False),
)

refusal_overrides = Table(
    "refusal_overrides",
    metadata,
    Column("incident_id", String(256), primary_key=True),
    Column("attested_by", String(256), nullable=False),
    Column("attested_at", UtcDateTime, nullable=False),
    Column("attestation", String(1024), nullable=False),
    Column("confirmed_by", String(256)),  # none: one person is not enough (P02)
    Column("confirmed_at", UtcDateTime),
)

provisional_incidents = Table(
    "provisional_incidents",
    metadata,
    Column("incident_id", String(256), primary_key=True),
    Column("opened_by", String(256), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("reconcile_by", UtcDateTime, nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("reconciled_with", String(256)),
    Column("reconciled_by", String(256)),
    Column("reconciled_at", UtcDateTime),
    Column("withdrawn_at", UtcDateTime),  # nobody reconciled it in time (P01)
)

leads = Table(
    "leads",
    metadata,
    Column("lead_id", String(64), primary_key=True),
    Column("probe_id", String(64), ForeignKey("probes.probe_id"), nullable=False, unique=True),
    Column("incident_id", String(256), nullable=False, index=True),
    Column("exercise", Boolean, nullable=False),
    Column("lane", String(16), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("result", String(32), nullable=False),
    Column("review_state", String(16), nullable=False, index=True),
    Column("data", JSON, nullable=False),  # the newest published data
    Column("candidates_object", String(256)),  # sealed list: references, image and subject ids, scores
    Column("acknowledged_by", String(256)),
    Column("acknowledged_at", UtcDateTime),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("traceparent", String(55)),  # W3C Trace Context, while traces are on
    Index("ix_leads_exercise_created_at", "exercise", "created_at"),
    Index("ix_leads_review_state_exercise_created_at", "review_state", "exercise", "created_at"),
)

lead_candidates = Table(
    "lead_candidates",
    metadata,
    Column("candidate_ref", String(64), primary_key=True),
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), nullable=False, index=True),
    Column("subject_id", Id, nullable=False, index=True),
)

galleries = Table(
    "galleries",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("kind", String(16), nullable=False),  # live, training, demo
    Column("version", BigInteger, nullable=False),
    Column("template_hash", String(64), nullable=False),
    Column("pack_name", String(128), nullable=False),
    Column("template_length", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

subjects = Table(
    "subjects",
    metadata,
    Column("subject_id", Id, primary_key=True, autoincrement=True),
    Column("gallery", String(128), ForeignKey("galleries.name"), nullable=False),
    Column("subject_ref", String(256), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("gallery", "subject_ref"),
)

gallery_images = Table(
    "gallery_images",
    metadata,
    Column("image_id", Id, primary_key=True, autoincrement=True),
    Column("gallery", String(128), ForeignKey("galleries.name"), nullable=False),
    Column("subject_id", Id, ForeignKey("subjects.subject_id"), nullable=False, index=True),
    Column("image_sha256", String(64), nullable=False),
    Column("image_object", String(256)),  # the sealed picture; none for a filler template
    Column("provenance", String(1024), nullable=False),
    Column("lawful_basis", String(1024), nullable=False),
    Column("retain_until", UtcDateTime, nullable=False),
    Column("retention_told_at", UtcDateTime),  # by the record system; none: no booking has spoken of it
    Column("taken_on", String(10)),  # a date, in whose day the picture was taken; none: nobody said
    Column("quality_score", Integer),
    Column("segment_id", String(64), nullable=False, index=True),
    Column("segment_row", Integer, nullable=False),
    Column("added_version", BigInteger, nullable=False),
    Column("removed_version", BigInteger),
    Column("removed_reason", String(256)),
    UniqueConstraint("gallery", "image_sha256"),
    Index("ix_gallery_images_gallery_removed_version", "gallery", "removed_version"),
    Index("ix_gallery_images_gallery_added_version", "gallery", "added_version"),
    # Only of what is searched: images that were removed at their date would fill the past of it.
    Index(
        "ix_gallery_images_living_retain_until",
        "gallery",
        "retain_until",
        sqlite_where=text("removed_version IS NULL"),
        postgresql_where=text("removed_version IS NULL"),
    ),
    Index(
        "ix_gallery_images_living_subject_id",
        "gallery",
        "subject_id",
        "image_object",
        sqlite_where=text("removed_version IS NULL"),
        postgresql_where=text("removed_version IS NULL"),
    ),
    # Whether the record system has spoken of any. With the moment, which tells that, no row has to be read: without it
    # SQLite, which keeps no figures of how much lies where, takes another index and reads a whole gallery.
    Index(
        "ix_gallery_images_told_gallery",
        "gallery",
        "retention_told_at",
        sqlite_where=text("retention_told_at IS NOT NULL"),
        postgresql_where=text("retention_told_at IS NOT NULL"),
    ),
    # All that the page of a gallery counts by. PostgreSQL counts without it, and takes no words of any length into one.
    Index(
        LIVING_SOURCES,
        "gallery",
        "provenance",
        "lawful_basis",
        "subject_id",
        "retain_until",
        "image_object",
        sqlite_where=text("removed_version IS NULL"),
    ).ddl_if(dialect="sqlite"),
)

retention_words = Table(
    "retention_words",
    metadata,
    Column("gallery", String(128), ForeignKey("galleries.name"), primary_key=True),
    Column("image_sha256", String(64), primary_key=True),
    Column("subject_digest", String(64), primary_key=True),  # of a reference that is in no gallery, perhaps a minor's
    Column("until", UtcDateTime, nullable=False),
    Column("said_at", UtcDateTime, nullable=False),
)

sent_pictures = Table(
    "sent_pictures",
    metadata,
    Column("picture_id", String(64), primary_key=True),
    Column("gallery", String(128), ForeignKey("galleries.name"), nullable=False),
    Column("image_sha256", String(64), nullable=False),
    Column("sent_by", String(256), nullable=False),
    Column("sent_at", UtcDateTime, nullable=False, index=True),
    Column("words", JSON),  # what was stated beside it, until it is settled
    Column("face", JSON),  # {object, width, height, landmarks, quality}, until it is settled
    Column("picture_object", String(256)),
    Column("reason", String(32)),  # why it was left out
    Column("detail", String(1024)),
    Column("version", BigInteger),  # of the gallery that has it
    Column("settled_at", UtcDateTime),
    # Few wait at any time; one picture waits once.
    Index(
        "ix_sent_pictures_waiting",
        "gallery",
        "image_sha256",
        unique=True,
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)

gallery_segments = Table(
    "gallery_segments",
    metadata,
    Column("segment_id", String(64), primary_key=True),
    Column("gallery", String(128), ForeignKey("galleries.name"), nullable=False, index=True),
    Column("object_key", String(256), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("added_version", BigInteger, nullable=False),
    Column("scrubbed_version", BigInteger, nullable=False),  # rows removed up to here hold no template any more
    Column("created_at", UtcDateTime, nullable=False),
)

gallery_removals = Table(
    "gallery_removals",
    metadata,
    Column("gallery", String(128), ForeignKey("galleries.name"), primary_key=True),
    Column("kind", String(16), primary_key=True),  # subject, image
    Column("digest", String(128), primary_key=True),  # subject reference or image sha256: never enrolled again (P25)
    Column("reason", String(256), nullable=False),
    Column("removed_version", BigInteger, nullable=False),
    Column("removed_at", UtcDateTime, nullable=False),
    Column("bytes_gone_at", UtcDateTime),  # none: a template of it may still lie in a segment
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("event_id", String(64), nullable=False, unique=True),
    Column("event_type", String(128), nullable=False),
    Column("topic", String(249)),  # none: for the floor's feed only
    Column("key", String(512)),
    Column("event", JSON, nullable=False),  # the whole CloudEvent, structured mode
    Column("on_feed", Boolean, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("feed_position", BigInteger, unique=True),
    Column("latency_metric", String(32)),  # what is observed when the row gets its place on the feed
    Column("latency_label", String(249)),
    Column("latency_since", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),  # all that had to be done with the row is done
    Index("ix_outbox_unpublished", "published_at", "id"),
    Index("ix_outbox_feed_position_on_feed", "feed_position", "on_feed"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("entry_id", String(64), primary_key=True),
    Column("leaf_hash", String(64), nullable=False, unique=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("entry", JSON, nullable=False),  # the canonical entry of which leaf_hash is the hash
    Column("position", BigInteger),  # its leaf in the tree, from 0; none: it waits for the sequencer
    Index("ix_audit_entries_position", "position", unique=True),
    Index("ix_audit_entries_subject", "subject"),
    Index(
        "ix_audit_entries_waiting",
        "at",
        "entry_id",
        sqlite_where=text("position IS NULL"),
        postgresql_where=text("position IS NULL"),
    ),
    # The few by which a policy came into force, of years.
    Index(
        "ix_audit_entries_policy_reload",
        "at",
        "entry_id",
        sqlite_where=text("action = 'policy.reload'"),
        postgresql_where=text("action = 'policy.reload'"),
    ),
)

# How often the same was done or refused on a day, for the entries whose place in the log is below the mark.
act_counts = Table(
    "act_counts",
    metadata,
    Column("day", String(10), primary_key=True),  # a date (UTC)
    Column("is_refused", Boolean, primary_key=True),
    Column("rule", String(64), primary_key=True),  # of these three, what an entry does not name is empty
    Column("purpose", String(64), primary_key=True),
    Column("gallery", String(128), primary_key=True),
    Column("times", BigInteger, nullable=False),
)

act_count_marks = Table(
    "act_count_marks",
    metadata,
    Column("name", String(16), primary_key=True),  # placed: there is one row
    Column("size", BigInteger, nullable=False),  # so many entries, from the log's first place on, are in `act_counts`
)

# What was done with stills, as the entries say whose place in the log is below the mark of the same name.
still_acts = Table(
    "still_acts",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),  # the entry's place in the log
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),  # the probe
    Column("incident_id", String(256)),
    Column("still", String(64)),  # the sha256 of the original's bytes
    Column("face", String(64)),  # the sha256 of the pixels that were cut out of it
    Column("edits", Text),  # as JSON
    Column("opened", Boolean),  # of an approval: whether the request had been opened
    Index("ix_still_acts_action_at_still_face", "action", "at", "still", "face"),
)

log_marks = Table(
    "log_marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("size", BigInteger, nullable=False),  # so many entries, from the log's first place on, have been read
)

audit_logs = Table(
    "audit_logs",
    metadata,
    Column("origin", String(256), primary_key=True),  # one row: the first line of every checkpoint
    Column("public_key", String(512), nullable=False),  # the verifier key of whoever signed last
    Column("begun_at", UtcDateTime, nullable=False),
)

audit_tiles = Table(
    "audit_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),  # up to 256, of 32 bytes each
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", String(8192), nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
)

audit_acknowledgements = Table(
    "audit_acknowledgements",
    metadata,
    Column("place", String(32), primary_key=True),  # file, store, witness
    Column("size", BigInteger, nullable=False),  # of the last checkpoint that it acknowledged
    Column("receipt", String(4096), nullable=False),  # a witness's signature lines
    Column("acknowledged_at", UtcDateTime, nullable=False),
)

audit_commitments = Table(
    "audit_commitments",
    metadata,
    Column("kind", String(16), primary_key=True),  # person, case
    Column("name", String(256), primary_key=True),
    Column("commitment", String(64), nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("master_key_id", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

topic_pauses = Table(
    "topic_pauses",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),  # then the topic is tried again by itself
    Column("reason", String(256), nullable=False),
    Column("resume_requested_at", UtcDateTime),
)

restorations = Table(
    "restorations",
    metadata,
    Column("restoration_id", String(64), primary_key=True),
    Column("backup_id", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),  # none: it was interrupted, and nobody may work with the database
)

processes = Table(
    "processes",
    metadata,
    Column("process_id", String(64), primary_key=True),
    Column("roles", JSON, nullable=False),  # a list of names
    Column("started_at", UtcDateTime, nullable=False),  # both by the database's clock
    Column("seen_at", UtcDateTime, nullable=False),
    Column("dependencies", JSON, nullable=False),  # by name: null, or why it is not ready
)

oldest_program = Table(
    "oldest_program",
    metadata,
    Column("revision", String(32), primary_key=True),  # one row: programs of this revision and newer ones may run
)

examinations = Table(
    "examinations",
    metadata,
    Column("examination_id", String(64), primary_key=True),
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), index=True),  # none: a seeded case
    Column("case_id", String(64), ForeignKey("proficiency_cases.case_id"), index=True),
    Column("round", Integer, nullable=False),  # 1: whoever took the lead; 2: the peer review; 3: a third examiner
    Column("lane", String(16), nullable=False),
    Column("candidates", JSON, nullable=False),  # [[this examiner's reference, the lead's or case's]] in their order
    Column("reserved_for", String(256)),  # the one account that may take it
    Column("examiner", String(256), index=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime),
    Column("filed_at", UtcDateTime),
    Column("closed_at", UtcDateTime),  # the lead ended before it was filed
    UniqueConstraint("lead_id", "round"),
    # All that reviews are counted by: their rows hold whole lists of candidates.
    Index("ix_examinations_filed_at", "filed_at", "round", "lead_id", "examiner", "opened_at", "examination_id"),
)

# Third examinations that were taken from somebody and given to another: who may have looked at the list meanwhile.
handed_over_examinations = Table(
    "handed_over_examinations",
    metadata,
    Column("examination_id", String(64), primary_key=True),
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), nullable=False, index=True),
    Column("candidates", JSON, nullable=False),  # as in `examinations`
    Column("reserved_for", String(256), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime),
    Column("handed_over_at", UtcDateTime, nullable=False),
    Column("reason", String(32), nullable=False),
)

# What examiners think. Nothing that a reviewer can fetch is read from here but the reviewer's own row (P12).
opinions = Table(
    "opinions",
    metadata,
    Column("examination_id", String(64), ForeignKey("examinations.examination_id"), primary_key=True),
    Column("opinion", JSON, nullable=False),  # by this examiner's references
    Column("aids", JSON),  # [{candidateRef, aid}]: what was laid over the still, and how; none: nothing
    Column("nonce", String(64)),  # with it the audit log's commitment can be checked, and without it not be guessed
    Column("updated_at", UtcDateTime, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), primary_key=True),
    Column("released_by", String(256), nullable=False),
    Column("requestor", String(256), nullable=False),
    Column("released_at", UtcDateTime, nullable=False),
    Column("findings", JSON, nullable=False),  # {candidates: [{candidateRef, conclusion}], dissent: [...]}
)

lead_receivers = Table(
    "lead_receivers",
    metadata,
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), primary_key=True),
    Column("account", String(256), primary_key=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("withdrawal_acknowledged_at", UtcDateTime),
)

outside_receivers = Table(
    "outside_receivers",
    metadata,
    Column("receiver_id", String(64), primary_key=True),
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # packet: whom one was handed to; system: it reads the topic
    Column("office", String(256), nullable=False),
    Column("name", String(256), nullable=False),  # or the reference of their matter; of a system its group or user
    Column("handed_over_by", String(256)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("withdrawal_acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(256)),  # who says so of them
    Column("told_at", UtcDateTime),
    Column("told_how", String(1024)),
    Index(
        "ix_outside_receivers_unacknowledged",
        "kind",
        "lead_id",
        sqlite_where=text("withdrawal_acknowledged_at IS NULL"),
        postgresql_where=text("withdrawal_acknowledged_at IS NULL"),
    ),
)

lead_event_offsets = Table(
    "lead_event_offsets",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("lead_id", String(64), nullable=False, index=True),
    Column("topic", String(249), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("ends", Boolean, nullable=False),  # from it on nobody may use the lead
    Column("published_at", UtcDateTime, nullable=False),
    Index("ix_lead_event_offsets_topic_partition_offset", "topic", "partition", "offset"),
)

topic_readers = Table(
    "topic_readers",
    metadata,
    Column("reader", String(256), primary_key=True),  # a consumer group of somebody else, or a user
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, nullable=False),  # what lies before it is in the ledger
    Column("moved_at", UtcDateTime, nullable=False),
)

corroborations = Table(
    "corroborations",
    metadata,
    Column("corroboration_id", String(64), primary_key=True),
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), nullable=False, index=True),
    Column("outcome", String(16), nullable=False),  # corroborated, refuted, unresolved
    Column("evidence", JSON, nullable=False),  # [{kind, itemNumber, obtainedAt}]
    Column("investigator", String(256), nullable=False),
    Column("reported_by", String(256), nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
)

lead_reminders = Table(
    "lead_reminders",
    metadata,
    Column("lead_id", String(64), ForeignKey("leads.lead_id"), primary_key=True),
    Column("hours_before", Integer, primary_key=True),  # the lead's end, as it was when the reminder was made
    Column("reminded_at", UtcDateTime, nullable=False),
)

proficiency_cases = Table(
    "proficiency_cases",
    metadata,
    Column("case_id", String(64), primary_key=True),
    Column("gallery", String(128), ForeignKey("galleries.name"), nullable=False),
    Column("probe_image", Id, ForeignKey("gallery_images.image_id"), nullable=False),
    Column("candidates", JSON, nullable=False),  # [{ref, imageIds, isPerson}]
    Column("seeded_by", String(256), nullable=False),
    Column("seeded_at", UtcDateTime, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", String(64), primary_key=True),  # SHA-256 of what the cookie holds
    Column("kind", String(16), nullable=False),  # local, provider
    Column("person", String(256), nullable=False),
    Column("login", String(256), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("certificates", JSON, nullable=False),  # by name: when it was issued, and may end
    Column("provider_subject", String(256), index=True),
    Column("provider_session", String(256), index=True),
    Column("refresh_token", LargeBinary),  # sealed under what the cookie holds
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),  # when the person last did something
    Column("checked_at", UtcDateTime, nullable=False),
    Column("checking_until", UtcDateTime),
    Column("expires_at", UtcDateTime, nullable=False),
)

# Written by programs of before revision 0018 alone, which may still work beside this one.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("browser_hash", String(64), nullable=False),  # SHA-256 of a cookie: the browser that began comes back
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(128), nullable=False),
    Column("back", String(2048), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

used_sign_ins = Table(
    "used_sign_ins",
    metadata,
    Column("state_hash", String(64), primary_key=True),  # the provider vouched for somebody with this answer
    Column("used_at", UtcDateTime, nullable=False, index=True),
)

local_accounts = Table(
    "local_accounts",
    metadata,
    Column("login", String(128), primary_key=True),
    Column("person", String(256), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("certificates", JSON, nullable=False),  # by name: when it was issued, and may end
    Column("password_hash", String(256), nullable=False),  # argon2id, with its parameters and salt
    Column("failed_sign_ins", Integer, nullable=False),
    Column("locked_until", UtcDateTime),
    Column("disabled_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

service_tokens = Table(
    "service_tokens",
    metadata,
    Column("token_id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("deeds", JSON, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("used_at", UtcDateTime),
)

people = Table(
    "people",
    metadata,
    Column("person", String(256), primary_key=True),
    Column("roles", JSON, nullable=False),
    Column("certificates", JSON, nullable=False),  # by name: when it was issued, and may end
    Column("seen_at", UtcDateTime, nullable=False),
    Column("unvouched_since", UtcDateTime),  # nobody answers for the person: they are asked to examine nothing
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("hold_id", String(64), primary_key=True),
    Column("case_number", String(256), index=True),  # of everything of this case, what is attached later too
    Column("probe_id", String(64), index=True),  # of one search and its lead
    Column("reason", String(1024), nullable=False),
    Column("placed_by", String(256), nullable=False),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("lifted_by", String(256)),
    Column("lifted_at", UtcDateTime),
    Column("lift_reason", String(1024)),
)

dispositions = Table(
    "dispositions",
    metadata,
    Column("disposition_id", String(64), primary_key=True),
    Column("case_number", String(256), nullable=False, index=True),
    Column("disposition", String(32), nullable=False),
    Column("disposed_on", String(10), nullable=False),  # a date
    Column("recorded_by", String(256), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),  # the period after the disposition is counted from here
)

export_orders = Table(
    "export_orders",
    metadata,
    Column("order_id", String(64), primary_key=True),
    Column("gallery", String(128), nullable=False),
    Column("with_pictures", Boolean, nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("asked_by", String(256), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False, index=True),
    Column("approved_by", String(256)),  # none: one person is not enough (P30)
    Column("approved_at", UtcDateTime),
    Column("folder", String(64)),  # a digest of where it is written to, once it was begun
    Column("finished_at", UtcDateTime),
)

disclosure_orders = Table(
    "disclosure_orders",
    metadata,
    Column("order_id", String(64), primary_key=True),
    Column("lead_ids", JSON, nullable=False),  # those whose lists are named, and no lead that came later
    Column("court_order", String(1024), nullable=False),
    Column("asked_by", String(256), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False, index=True),
    Column("approved_by", String(256)),  # none: one person is not enough (P17)
    Column("approved_at", UtcDateTime),
    Column("made_at", UtcDateTime),  # a packet was made by it
)

purge_looks = Table(
    "purge_looks",
    metadata,
    Column("name", String(16), primary_key=True),  # purge: there is one row
    Column("seen_at", UtcDateTime, nullable=False),  # what the clock said when somebody last looked for what is due
    Column("distrusted_until", UtcDateTime),  # it had leapt: nothing is purged by the timer before
)

purges = Table(
    "purges",
    metadata,
    Column("probe_id", String(64), primary_key=True),
    Column("lead_id", String(64), index=True),
    Column("outcome", String(32), nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("purged_at", UtcDateTime, nullable=False, index=True),
    Column("objects", JSON, nullable=False),  # [{object, sha256}], sha256 of the sealed bytes
    Column("audit_leaf", String(64), nullable=False),
    Column("bytes_gone_at", UtcDateTime),  # none: the keys are destroyed, and the sealed bytes still lie in the store
    Index(
        "ix_purges_bytes_left",
        "probe_id",
        sqlite_where=text("bytes_gone_at IS NULL"),
        postgresql_where=text("bytes_gone_at IS NULL"),
    ),
)
