"""`rtcc-bridge check-config` and `rtcc-bridge db`."""

import asyncio
import json
from pathlib import Path

import click

from rtcc_bridge import processor
from rtcc_bridge.app.foundation import upgrade_database
from rtcc_bridge.app.reachability import reach
from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.app.template_keys import needs_own_key
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.policy.opening import PolicyFiles, open_policy
from rtcc_bridge.settings import KafkaSettings, Settings, load_settings


@click.command("check-config")
@config_option
@click.option("--show", is_flag=True, help="Print the effective settings; secrets are masked.")
@click.option(
    "--reach",
    "reaching",
    is_flag=True,
    help="Ask all that the settings name as well: broker, topics, database, keys, object store, identity provider, who "
    "keeps checkpoints outside, the store of bookings' pictures, Milvus.",
)
@tells_errors
def check_config(config: Path | None, show: bool, reaching: bool) -> None:
    """Check what `serve` needs to start: settings, policy, keys, packs, folders. Nothing is made or changed.

    Says what is wrong, where, and what to do. Without --reach nothing is asked over the network.
    """
    settings = load_settings(config)
    if problems := start_problems(settings):
        raise ConfigurationError(*problems)
    opened = open_policy(PolicyFiles.of(settings.policy), demo=settings.profile == "demo", now=SystemClock().now())
    policy = opened.policy
    if show:
        click.echo(json.dumps(settings.model_dump(mode="json"), indent=2))
    click.echo(f"processor: {processor.remark() or 'good'}")
    click.echo(f"settings: good (profile {settings.profile})")
    click.echo(f"access to the broker: good, not asked ({_access(settings.kafka)})")
    click.echo(f"master key of templates: {_template_key(settings)}")
    held = opened.remark or "signed by the administrator and the city"
    click.echo(f"policy: good ({policy.title}, hash {policy.hash[:16]}..., until {policy.valid_until}; {held})")
    if reaching:
        asyncio.run(_reach(settings))


async def _reach(settings: Settings) -> None:
    """Prints what each dependency answers. Raises UnavailableError when one cannot be used."""
    failed = []
    async for reached in reach(settings):
        if reached.problem is not None:
            failed.append(reached.dependency)
        click.echo(f"reach {reached.dependency}: {reached.problem or f'good ({reached.detail})'}")
    if failed:
        raise UnavailableError(f"not usable: {', '.join(failed)}")


def _template_key(settings: Settings) -> str:
    if settings.objects.gallery_key_file is not None:
        return "named (the role matcher and commands on galleries read it)"
    if needs_own_key(settings):
        return "none named: right for every role but matcher, which does not start so (objects.gallery_key_file, P30)"
    return "none: that of all objects wraps them too"


def _access(kafka: KafkaSettings) -> str:
    if kafka.security_protocol == "PLAINTEXT":
        return "PLAINTEXT: whoever reaches it can read and write everything; for this machine only"
    shown = "with a certificate of its own" if kafka.tls.certificate_file else "without a certificate of its own"
    if kafka.security_protocol == "SSL":
        return f"SSL, {shown}"
    who = kafka.sasl.username or kafka.sasl.token.client_id
    return f"SASL_SSL, {shown}, as {who} by {kafka.sasl.mechanism}"


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@config_option
@tells_errors
def upgrade(config: Path | None) -> None:
    """Bring the database to the revision of this program. `serve` does it too."""
    revision = asyncio.run(upgrade_database(load_settings(config).database))
    click.echo(f"database: at revision {revision}")
