"""The command line of scripts/kafka."""

import asyncio
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import click

from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.control import Control, ask, listening
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
    """Start nodes, print their addresses, and run until Ctrl-C. The other commands stop, kill and restart them."""
    if protocol is None and (users or acls):
        raise click.UsageError("--user and --acls need --security")
    known = dict(user.split(":", 1) for user in users)
    security = ClientSecurity(cast("Protocol", protocol), known, acls=acls) if protocol else None
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-", ignore_cleanup_errors=True)))
        folder = folder.resolve()
        listener = stack.enter_context(listening(folder))
        asyncio.run(_serve(KafkaCluster(nodes, folder=folder, security=security), listener))


def _of_nodes(command: Callable[..., None]) -> Callable[..., None]:
    """What the commands about running nodes take."""
    command = click.option(
        "--folder", type=click.Path(file_okay=False, path_type=Path), required=True,
        help="The folder of the cluster, as `scripts/kafka start` has printed it.",
    )(command)  # fmt: skip
    return click.argument("numbers", metavar="[NUMBER]...", type=int, nargs=-1)(command)


@main.command()
@_of_nodes
def status(numbers: tuple[int, ...], folder: Path) -> None:
    """Tell which nodes run, their process ids and addresses."""
    _have_done("status", numbers, folder)


@main.command()
@_of_nodes
def stop(numbers: tuple[int, ...], folder: Path) -> None:
    """End nodes in good order (SIGTERM); all of them without numbers."""
    _have_done("stop", numbers, folder)


@main.command()
@_of_nodes
def kill(numbers: tuple[int, ...], folder: Path) -> None:
    """End nodes as a power cut does (SIGKILL); all of them without numbers."""
    _have_done("kill", numbers, folder)


@main.command()
@_of_nodes
def restart(numbers: tuple[int, ...], folder: Path) -> None:
    """Start nodes that have ended, with their data; running ones are stopped before.

    All of them without numbers. It waits until they serve again, so a majority of the nodes has to run then.
    """
    _have_done("restart", numbers, folder)


def _have_done(what: str, numbers: tuple[int, ...], folder: Path) -> None:
    for state in ask(folder.resolve(), what, numbers):
        click.echo(str(state))


async def _serve(cluster: KafkaCluster, listener: socket.socket) -> None:
    """Until a signal: the first one ends all in good order, its start too; another one does not wait for that."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        async with cluster:
            control = Control(cluster)
            _tell(cluster, control)
            try:
                await control.serve(listener)
            finally:
                await cluster.stop()


def _tell(cluster: KafkaCluster, control: Control) -> None:
    click.echo(cluster.bootstrap)
    for state in control.states():
        click.echo(str(state), err=True)
    click.echo(f"Certificate authority: {cluster.authority.ca_file}", err=True)
    click.echo(f"Without password, every right: {','.join(cluster.internal_addresses)}", err=True)
    commands = "scripts/kafka status|stop|kill|restart [NUMBER ...]"
    click.echo(f"In another terminal: {commands} --folder {cluster.folder}", err=True)
    click.echo(f"Data and logs: {cluster.folder}. Ctrl-C ends it.", err=True)


if __name__ == "__main__":
    try:
        main(prog_name="scripts/kafka")
    except (KafkaNotAvailableError, RuntimeError, ValueError) as error:
        sys.exit(f"scripts/kafka: {error}")
