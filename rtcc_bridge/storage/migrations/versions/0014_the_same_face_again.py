"""Which stills are the same picture: by the hash of the original, and by that of the face that was cut out of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("crop_sha256", sa.String(64)))
    op.create_index("ix_probes_crop_sha256", "probes", ["crop_sha256"])
    op.create_index("ix_probes_original_sha256", "probes", ["original_sha256"])


def downgrade() -> None:
    op.drop_index("ix_probes_original_sha256", table_name="probes")
    op.drop_index("ix_probes_crop_sha256", table_name="probes")
    op.drop_column("probes", "crop_sha256")
