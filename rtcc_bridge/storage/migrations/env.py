"""Alembic's entry point. It always runs on a connection that `rtcc_bridge.storage.schema` hands over."""

from alembic import context

from rtcc_bridge.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
