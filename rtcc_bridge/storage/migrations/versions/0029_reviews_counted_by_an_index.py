"""Indexes with all that is asked by them: of reviews for what is counted, of what the record system has spoken of."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0029"
down_revision: str | None = "0028"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_REVIEWS = "ix_examinations_filed_at"
_TOLD = "ix_gallery_images_told_gallery"
_IS_TOLD = sa.text("retention_told_at IS NOT NULL")


def upgrade() -> None:
    _replace(_REVIEWS, "examinations", "filed_at", "round", "lead_id", "examiner", "opened_at", "examination_id")
    _replace(_TOLD, "gallery_images", "gallery", "retention_told_at", where=_IS_TOLD)


def downgrade() -> None:
    _replace(_TOLD, "gallery_images", "gallery", where=_IS_TOLD)
    _replace(_REVIEWS, "examinations", "filed_at")


def _replace(name: str, table: str, *columns: str, where: sa.TextClause | None = None) -> None:
    op.drop_index(name, table_name=table)
    op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)
