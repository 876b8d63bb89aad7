"""Sets the demo's stage: broker, topics, gallery and a daemon, in a folder of its own that is gone afterwards."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.commands.console import ProgressBar
from rtcc_bridge.demo.cast import enroll_faces, enroll_portrait
from rtcc_bridge.demo.daemon import running_daemon
from rtcc_bridge.demo.pictures import FacesSplit, split_faces
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.settings import Settings, load_settings
from rtcc_bridge.topic_settings import TopicSettings

GALLERY = "demo"
_TOPICS: Final = {"partitions": 3, "replication_factor": 1}
_EMBEDDED: Final = {"enable_idempotence": False, "topics": _TOPICS}
"""The embedded broker does not know idempotent producers."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says. kafka: an existing broker instead of the embedded one.

    fillers: how many filler templates surround the portrait; none where there are faces.
    """

    faces: Path | None
    kafka: str | None
    port: int
    packs_directory: Path
    policy: Path
    seed: int
    fillers: int = 100_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A running demo."""

    settings: Settings
    settings_file: Path
    address: str
    split: FacesSplit | None
    daemon: asyncio.subprocess.Process


@asynccontextmanager
async def stage_set(options: DemoOptions, console: Console, folder: Path) -> AsyncIterator[Stage]:
    """Everything up and ready; torn down at the end. Raises BridgeError or DaemonError that says what is wrong."""
    port = options.port or _free_port()
    _require_free(port)
    async with AsyncExitStack() as stack:
        bootstrap = options.kafka
        if bootstrap is None:
            bootstrap = (await stack.enter_async_context(EmbeddedBroker())).address
            console.print(f"  embedded broker on {bootstrap} (it keeps nothing over a restart)", highlight=False)
        settings_file = folder / "settings.yaml"
        settings_file.write_text(yaml.safe_dump(_settings(options, port, folder, bootstrap)), encoding="utf-8")
        settings = load_settings(settings_file)
        report = await create_topics(settings.kafka)
        where = f" on {bootstrap}, named demo.*" if options.kafka else ""
        console.print(
            f"  topics{where}: {len(report.created)} created, {len(report.existing)} were there", highlight=False
        )
        split = await asyncio.to_thread(split_faces, options.faces, options.seed) if options.faces else None
        split = await _enroll(settings, options, split, folder, console)
        address = f"http://{settings.web.host}:{settings.web.port}"
        daemon = await stack.enter_async_context(running_daemon(settings_file, address, folder / "daemon.log"))
        yield Stage(settings, settings_file, address, split, daemon)


def _settings(options: DemoOptions, port: int, folder: Path, bootstrap: str) -> dict[str, object]:
    return {
        "profile": "demo",
        "kafka": {"bootstrap_servers": bootstrap.split(","), "session_timeout_seconds": 6}
        | (_EMBEDDED if options.kafka is None else _beside_others()),
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'rtcc-bridge.sqlite3'}"},
        "objects": {"url": (folder / "objects").as_uri(), "master_key_file": str(folder / "master.key")},
        "audit": {
            "signing_key_file": str(folder / "audit-signing.key"),
            "checkpoint_file": str(folder / "audit-checkpoint"),
            "journal_folder": str(folder / "audit-journal"),
        },
        "reports": {"signing_key_file": str(folder / "packet-signing.key")},
        "web": {"port": port},
        "matching": {"packs_directory": str(options.packs_directory.resolve()), "gallery": GALLERY},
        "policy": {"file": str(options.policy.resolve())},
    }


def _beside_others() -> dict[str, object]:
    """Names of the demo's own, so that on an existing Kafka it takes no event from a daemon and gives it none."""
    names = {
        name: f"demo.{field.default}"
        for name, field in TopicSettings.model_fields.items()
        if isinstance(field.default, str)
    }
    return {"group_prefix": "rtcc-bridge-demo", "topics": names | _TOPICS}


async def _enroll(
    settings: Settings, options: DemoOptions, split: FacesSplit | None, folder: Path, console: Console
) -> FacesSplit | None:
    """Returns the split without those whom nobody can search for, and says how many they are."""
    with ProgressBar(console).shown() as bar:
        pack = await asyncio.to_thread(open_pack, settings.matching, bar)
        async with open_core(settings) as core:
            if split is None:
                await enroll_portrait(core, pack, GALLERY, folder / "portrait", bar, options.fillers, options.seed)
                return None
            assert options.faces is not None
            receipt, found = await enroll_faces(core, pack, GALLERY, options.faces, split, bar)
    left_out = ", ".join(f"{count} {reason.in_words}" for reason, count in sorted(receipt.set_aside.items())) or "none"
    console.print(f"  enrolled {receipt.enrolled} of {receipt.total} pictures; left out: {left_out}", highlight=False)
    missing = len(split.mated) - len(found.mated)
    console.print(
        f"  people to search for: {len(found.mated)}; left out, since no picture of theirs was enrolled: {missing}",
        highlight=False,
    )
    return found


def _require_free(port: int) -> None:
    """Raises ConfigurationError for a taken port, before anything is set up for which the daemon would be missing."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemon binds: a port just left is free
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            problem = ConfigurationProblem(
                "--port",
                f"127.0.0.1:{port} cannot be bound ({error.strerror})",
                "Stop what listens there, or choose another port; without --port a free one is taken",
            )
            raise ConfigurationError(problem) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
