"""The command line of scripts/kafka."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import cast

import click

from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.distribution import KafkaNotAvailableError, fetch
from tests.kafka_cluster.security import ADMIN, ClientSecurity, Protocol


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Apache Kafka on this machine's loopback, for tests and trials. It needs a JDK 17 and, the first time, Maven."""


@main.command("fetch")
def fetch_command() -> None:
    """Download Apache Kafka into the cache folder (KAFKA_CACHE, or in the user's cache) and print it."""
    click.echo(str(fetch()))


@main.command()
@click.option("--nodes", type=click.IntRange(1, 5), default=1, show_default=True, help="How many nodes.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for data and logs; by default a temporary one that is removed at the end.",
)  # fmt: skip
@click.option(
    "--security", "protocol", type=click.Choice(["SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
    help="What clients have to use; SASL by SCRAM-SHA-512, PLAIN or an unsigned OAUTHBEARER token.",
)  # fmt: skip
@click.option(
    "--user", "users", metavar="NAME:PASSWORD", multiple=True, help=f"A user for SASL; {ADMIN} has all rights."
)
@click.option("--acls", is_flag=True, help="Users may do only what a rule allows.")
def start(nodes: int, folder: Path | None, protocol: str | None, users: tuple[str, ...], *, acls: bool) -> None:
    """Start nodes, print their addresses, and run until Ctrl-C."""
    if protocol is None and (users or acls):
        raise click.UsageError("--user and --acls need --security")
    known = dict(user.split(":", 1) for user in users)
    security = ClientSecurity(cast("Protocol", protocol), known, acls=acls) if protocol else None
    asyncio.run(_serve(KafkaCluster(nodes, folder=folder, security=security)))


async def _serve(cluster: KafkaCluster) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with cluster:
        click.echo(cluster.bootstrap)
        click.echo(f"Certificate authority: {cluster.authority.ca_file}", err=True)
        click.echo(f"Without password, every right: {','.join(cluster.internal_addresses)}", err=True)
        click.echo(f"Data and logs: {cluster.folder}. Ctrl-C ends it.", err=True)
        await ended.wait()
        await cluster.stop()


if __name__ == "__main__":
    try:
        main()
    except (KafkaNotAvailableError, RuntimeError, ValueError) as error:
        sys.exit(f"scripts/kafka: {error}")
