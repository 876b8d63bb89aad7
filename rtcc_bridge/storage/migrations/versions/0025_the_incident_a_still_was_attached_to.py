"""The incident that a still was attached to, which stays when merges move the still to another.

Of stills from before it is not known which that was: they stay where they are when a merge is taken back.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
oldest_program: str = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("probes", sa.Column("named_incident_id", sa.String(256)))
    op.create_index("ix_probes_named_incident_id", "probes", ["named_incident_id"])


def downgrade() -> None:
    op.drop_index("ix_probes_named_incident_id", table_name="probes")
    op.drop_column("probes", "named_incident_id")
