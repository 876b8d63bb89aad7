"""How the other commands of scripts/kafka reach the cluster that one process runs: by a socket in its folder.

One line of JSON asks, {"do": "kill", "nodes": [2]}, and one answers when it is done. The process that runs the cluster
does it, for the nodes are its children: a process id cannot be mistaken, and a node that is started again dies with it
as the first one did.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.kafka_cluster.cluster import KafkaCluster

_NAME: Final = "control.sock"
_REQUEST_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 180.0
"""More than a restart takes at worst, and than most starts, which have to come to their end first."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """process_id: None when the node has ended. address: host:port for clients."""

    number: int
    process_id: int | None
    address: str

    def __str__(self) -> str:
        what = "has ended" if self.process_id is None else f"runs as process {self.process_id}"
        return f"node {self.number} at {self.address} {what}"


class Control:
    """Does what is asked for on the socket, each request in a task of its own: a node may be killed in its restart."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._restarting = asyncio.Lock()
        self._deeds: dict[str, Callable[..., Awaitable[None]]] = {
            "status": self._look,
            "stop": cluster.stop,
            "kill": cluster.kill,
            "restart": self._restart,
        }

    async def serve(self, listener: socket.socket) -> None:
        """Answers until it is cancelled; what is under way is cancelled with it."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as answering:
            while True:
                connection, _ = await loop.sock_accept(listener)
                answering.create_task(self._serve_one(connection))

    def states(self, numbers: Sequence[int] = ()) -> list[NodeState]:
        """Of these nodes, or of all."""
        addresses = dict(zip(self._cluster.numbers, self._cluster.addresses, strict=True))
        return [
            NodeState(number, self._cluster.process_id_of(number), addresses[number])
            for number in numbers or self._cluster.numbers
        ]

    async def _serve_one(self, connection: socket.socket) -> None:
        with suppress(OSError):  # whoever asked does not wait for the answer any more
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    line = await reader.readline()
                if line:
                    writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                    await writer.drain()
            finally:
                writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"nodes": [asdict(state) for state in await self._do(json.loads(line))]}
        except (RuntimeError, ValueError, OSError) as error:
            return {"error": str(error)}

    async def _do(self, request: Any) -> list[NodeState]:
        match request:
            case {"do": str(what), "nodes": list(asked)} if what in self._deeds:
                known = self._cluster.numbers
                for number in asked:
                    if number not in known:
                        raise ValueError(f"there is no node {number}: this cluster has {', '.join(map(str, known))}")
                numbers = [number for number in known if number in asked or not asked]
                await self._deeds[what](*numbers)
                return self.states(numbers)
        raise ValueError(f"nobody knows how to do this: {request}")

    async def _look(self, *_numbers: int) -> None:
        """The answer tells it all."""

    async def _restart(self, *numbers: int) -> None:
        if self._restarting.locked():
            raise RuntimeError("a restart is under way already")
        async with self._restarting:
            await self._cluster.restart(*numbers)


@contextmanager
def listening(folder: Path) -> Iterator[socket.socket]:
    """The socket that Control serves, for the owner of the process alone; it is removed at the end.

    Whoever asks before it is served waits. The folder is made if need be. Raises RuntimeError when another process
    listens there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _short(folder) as path, socket.socket(socket.AF_UNIX) as listener:
        _remove_that_of_the_dead(path, folder)
        listener.bind(path)
        try:
            Path(path).chmod(0o600)  # nobody can have come in before it listens
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003 - the library's signature
            yield listener
        finally:
            Path(path).unlink(missing_ok=True)


def ask(folder: Path, what: str, numbers: Sequence[int]) -> list[NodeState]:
    """Has it done to nodes of the cluster in the folder, all of them without numbers, and returns how they are then.

    Blocks until it is done, for three minutes at most. Raises RuntimeError when no cluster runs there, or with what
    went wrong.
    """
    request = json.dumps({"do": what, "nodes": list(numbers)})
    try:
        with _short(folder) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(path)
            connection.sendall(request.encode() + b"\n")
            with connection.makefile() as lines:
                line = lines.readline()
    except (FileNotFoundError, ConnectionRefusedError):
        raise RuntimeError(f"no cluster runs in {folder}: `scripts/kafka start --folder {folder}` starts one") from None
    except TimeoutError:
        raise RuntimeError(f"the cluster in {folder} has not answered for {_ANSWER_SECONDS:g} s") from None
    except ConnectionResetError:
        line = ""
    except OSError as error:
        raise RuntimeError(f"the cluster in {folder} cannot be reached: {error}") from error
    if not line:
        raise RuntimeError(f"the cluster in {folder} has ended meanwhile")
    answer = json.loads(line)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return [NodeState(**state) for state in answer["nodes"]]


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The socket's path by way of an open folder (Linux): a path in the file system may be too long for a socket."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{_NAME}"
    finally:
        os.close(opened)


def _remove_that_of_the_dead(path: str, folder: Path) -> None:
    """A process that was killed leaves its socket behind, and nobody answers there."""
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            Path(path).unlink(missing_ok=True)
        else:
            raise RuntimeError(f"a cluster runs in {folder} already")
