"""The first schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from rtcc_bridge.storage.tables import UtcDateTime

revision: str = "0001"
down_revision: str | None = None
oldest_program: str = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("leaf_hash", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_audit_entries_leaf_hash")),
    )
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entries_at"), ["at"], unique=False)

    op.create_table(
        "galleries",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("template_hash", sa.String(length=64), nullable=False),
        sa.Column("pack_name", sa.String(length=128), nullable=False),
        sa.Column("template_length", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_galleries")),
    )
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String(length=256), nullable=False),
        sa.Column("incident_type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("agency_id", sa.String(length=256), nullable=True),
        sa.Column("case_number", sa.String(length=256), nullable=True),
        sa.Column("merged_into", sa.String(length=256), nullable=True),
        sa.Column("refused_type", sa.String(length=64), nullable=True),
        sa.Column("exercise", sa.Boolean(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("last_update_at", UtcDateTime(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incidents")),
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index("ix_incidents_merged_into", ["merged_into"], unique=False)
        batch_op.create_index(batch_op.f("ix_incidents_status"), ["status"], unique=False)

    op.create_table(
        "input_events",
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("event_id", sa.String(length=512), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("value_sha256", sa.String(length=64), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("pk_input_events")),
    )
    with op.batch_alter_table("input_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_input_events_received_at"), ["received_at"], unique=False)

    op.create_table(
        "object_keys",
        sa.Column("object_key", sa.String(length=256), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("master_key_id", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("object_key", name=op.f("pk_object_keys")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("event_type", sa.String(length=128), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=True),
        sa.Column("key", sa.String(length=512), nullable=True),
        sa.Column("event", sa.JSON(), nullable=False),
        sa.Column("on_feed", sa.Boolean(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("feed_position", sa.BigInteger(), nullable=True),
        sa.Column("latency_metric", sa.String(length=32), nullable=True),
        sa.Column("latency_label", sa.String(length=249), nullable=True),
        sa.Column("latency_since", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event_id", name=op.f("uq_outbox_event_id")),
        sa.UniqueConstraint("feed_position", name=op.f("uq_outbox_feed_position")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_unpublished", ["published_at", "id"], unique=False)

    op.create_table(
        "probes",
        sa.Column("probe_id", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("exercise", sa.Boolean(), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("legal_basis", sa.String(length=1024), nullable=False),
        sa.Column("case_number", sa.String(length=256), nullable=False),
        sa.Column("requestor", sa.String(length=256), nullable=False),
        sa.Column("analyst", sa.String(length=256), nullable=False),
        sa.Column("original_object", sa.String(length=256), nullable=True),
        sa.Column("original_sha256", sa.String(length=64), nullable=True),
        sa.Column("image_width", sa.Integer(), nullable=True),
        sa.Column("image_height", sa.Integer(), nullable=True),
        sa.Column("faces", sa.JSON(), nullable=True),
        sa.Column("chosen_face", sa.Integer(), nullable=True),
        sa.Column("chosen_at", UtcDateTime(), nullable=True),
        sa.Column("crop_object", sa.String(length=256), nullable=True),
        sa.Column("crop_width", sa.Integer(), nullable=True),
        sa.Column("crop_height", sa.Integer(), nullable=True),
        sa.Column("crop_landmarks", sa.JSON(), nullable=True),
        sa.Column("approval", sa.String(length=16), nullable=False),
        sa.Column("approve_by", UtcDateTime(), nullable=True),
        sa.Column("approved_by", sa.String(length=256), nullable=True),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.Column("authority_at", UtcDateTime(), nullable=True),
        sa.Column("requested_at", UtcDateTime(), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("state_reason", sa.String(length=1024), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("probe_id", name=op.f("pk_probes")),
    )
    with op.batch_alter_table("probes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_probes_authority_at"), ["authority_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_probes_incident_id"), ["incident_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_probes_state"), ["state"], unique=False)

    op.create_table(
        "threats",
        sa.Column("identifier", sa.String(length=256), nullable=False),
        sa.Column("incident_id", sa.String(length=256), nullable=False),
        sa.Column("sender", sa.String(length=256), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("message_type", sa.String(length=16), nullable=False),
        sa.Column("event_id", sa.String(length=1025), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("imminent", sa.Boolean(), nullable=False),
        sa.Column("exercise", sa.Boolean(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("identifier", name=op.f("pk_threats")),
    )
    with op.batch_alter_table("threats", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_threats_incident_id"), ["incident_id"], unique=False)

    op.create_table(
        "gallery_removals",
        sa.Column("gallery", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=256), nullable=False),
        sa.Column("removed_version", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_gallery_removals_gallery")),
        sa.PrimaryKeyConstraint("gallery", "kind", "digest", name=op.f("pk_gallery_removals")),
    )
    op.create_table(
        "gallery_segments",
        sa.Column("segment_id", sa.String(length=64), nullable=False),
        sa.Column("gallery", sa.String(length=128), nullable=False),
        sa.Column("object_key", sa.String(length=256), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("added_version", sa.BigInteger(), nullable=False),
        sa.Column("scrubbed_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_gallery_segments_gallery")),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_gallery_segments")),
    )
    with op.batch_alter_table("gallery_segments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gallery_segments_gallery"), ["gallery"], unique=False)

    op.create_table(
        "leads",
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("probe_id", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=256), nullable=False),
        sa.Column("exercise", sa.Boolean(), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(length=32), nullable=False),
        sa.Column("review_state", sa.String(length=16), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("candidates_object", sa.String(length=256), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=256), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["probe_id"], ["probes.probe_id"], name=op.f("fk_leads_probe_id")),
        sa.PrimaryKeyConstraint("lead_id", name=op.f("pk_leads")),
        sa.UniqueConstraint("probe_id", name=op.f("uq_leads_probe_id")),
    )
    with op.batch_alter_table("leads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_leads_incident_id"), ["incident_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_leads_review_state"), ["review_state"], unique=False)

    op.create_table(
        "subjects",
        sa.Column(
            "subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("gallery", sa.String(length=128), nullable=False),
        sa.Column("subject_ref", sa.String(length=256), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_subjects_gallery")),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("gallery", "subject_ref", name=op.f("uq_subjects_gallery_subject_ref")),
    )
    op.create_table(
        "threat_incidents",
        sa.Column("identifier", sa.String(length=256), nullable=False),
        sa.Column("incident_id", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["identifier"], ["threats.identifier"], name=op.f("fk_threat_incidents_identifier")),
        sa.PrimaryKeyConstraint("identifier", "incident_id", name=op.f("pk_threat_incidents")),
    )
    with op.batch_alter_table("threat_incidents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_threat_incidents_incident_id"), ["incident_id"], unique=False)

    op.create_table(
        "threat_references",
        sa.Column("identifier", sa.String(length=256), nullable=False),
        sa.Column("referenced", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["identifier"], ["threats.identifier"], name=op.f("fk_threat_references_identifier")),
        sa.PrimaryKeyConstraint("identifier", "referenced", name=op.f("pk_threat_references")),
    )
    with op.batch_alter_table("threat_references", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_threat_references_referenced"), ["referenced"], unique=False)

    op.create_table(
        "gallery_images",
        sa.Column("image_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("gallery", sa.String(length=128), nullable=False),
        sa.Column("subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("image_object", sa.String(length=256), nullable=True),
        sa.Column("provenance", sa.String(length=1024), nullable=False),
        sa.Column("lawful_basis", sa.String(length=1024), nullable=False),
        sa.Column("retain_until", UtcDateTime(), nullable=False),
        sa.Column("quality_score", sa.Integer(), nullable=True),
        sa.Column("segment_id", sa.String(length=64), nullable=False),
        sa.Column("segment_row", sa.Integer(), nullable=False),
        sa.Column("added_version", sa.BigInteger(), nullable=False),
        sa.Column("removed_version", sa.BigInteger(), nullable=True),
        sa.Column("removed_reason", sa.String(length=256), nullable=True),
        sa.ForeignKeyConstraint(["gallery"], ["galleries.name"], name=op.f("fk_gallery_images_gallery")),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.subject_id"], name=op.f("fk_gallery_images_subject_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_gallery_images")),
        sa.UniqueConstraint("gallery", "image_sha256", name=op.f("uq_gallery_images_gallery_image_sha256")),
    )
    with op.batch_alter_table("gallery_images", schema=None) as batch_op:
        batch_op.create_index("ix_gallery_images_gallery_added_version", ["gallery", "added_version"], unique=False)
        batch_op.create_index("ix_gallery_images_gallery_removed_version", ["gallery", "removed_version"], unique=False)
        batch_op.create_index(batch_op.f("ix_gallery_images_segment_id"), ["segment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gallery_images_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "lead_candidates",
        sa.Column("candidate_ref", sa.String(length=64), nullable=False),
        sa.Column("lead_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.lead_id"], name=op.f("fk_lead_candidates_lead_id")),
        sa.PrimaryKeyConstraint("candidate_ref", name=op.f("pk_lead_candidates")),
    )
    with op.batch_alter_table("lead_candidates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lead_candidates_lead_id"), ["lead_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_lead_candidates_subject_id"), ["subject_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("lead_candidates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_lead_candidates_subject_id"))
        batch_op.drop_index(batch_op.f("ix_lead_candidates_lead_id"))

    op.drop_table("lead_candidates")
    with op.batch_alter_table("gallery_images", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gallery_images_subject_id"))
        batch_op.drop_index(batch_op.f("ix_gallery_images_segment_id"))
        batch_op.drop_index("ix_gallery_images_gallery_removed_version")
        batch_op.drop_index("ix_gallery_images_gallery_added_version")

    op.drop_table("gallery_images")
    with op.batch_alter_table("threat_references", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_threat_references_referenced"))

    op.drop_table("threat_references")
    with op.batch_alter_table("threat_incidents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_threat_incidents_incident_id"))

    op.drop_table("threat_incidents")
    op.drop_table("subjects")
    with op.batch_alter_table("leads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_leads_review_state"))
        batch_op.drop_index(batch_op.f("ix_leads_incident_id"))

    op.drop_table("leads")
    with op.batch_alter_table("gallery_segments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gallery_segments_gallery"))

    op.drop_table("gallery_segments")
    op.drop_table("gallery_removals")
    with op.batch_alter_table("threats", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_threats_incident_id"))

    op.drop_table("threats")
    with op.batch_alter_table("probes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_probes_state"))
        batch_op.drop_index(batch_op.f("ix_probes_incident_id"))
        batch_op.drop_index(batch_op.f("ix_probes_authority_at"))

    op.drop_table("probes")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_unpublished")

    op.drop_table("outbox")
    op.drop_table("object_keys")
    with op.batch_alter_table("input_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_input_events_received_at"))

    op.drop_table("input_events")
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_incidents_status"))
        batch_op.drop_index("ix_incidents_merged_into")

    op.drop_table("incidents")
    op.drop_table("galleries")
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entries_at"))

    op.drop_table("audit_entries")
