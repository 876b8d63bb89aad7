"""A PostgreSQL server of the tests' own, from the system's packages. `python -m tests.postgres_server` says which.

It listens on loopback or on a host of the tests' own, lets everybody in, and is gone with its folder when the process
that started it ends, however that ends: a watchdog holds the other end of a pipe.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.hosts import Host
from tests.ports import free_port

USER: Final = "rtcc"
_STEP_SECONDS: Final = 30.0
_ASK_AGAIN_SECONDS: Final = 0.05
_OPTIONS: Final = {
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "hot_standby": "on",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, and so gone with it
}
_FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresMissingError(Exception):
    """There is no PostgreSQL server program on this machine."""


def find_programs() -> Path:
    """The folder with initdb and postgres, the newest if there are several. Raises PostgresMissingError."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent for name in ("postgres", "pg_ctl") if (found := shutil.which(name))]
    told = []
    if config := shutil.which("pg_config"):
        told = [Path(subprocess.run([config, "--bindir"], check=True, capture_output=True, text=True).stdout.strip())]
    for folder in (*on_path, *debian, *told):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise PostgresMissingError("no PostgreSQL server here: install the package postgresql, or set RTCC_TEST_POSTGRES")


class PostgresServer:
    """One server. A context manager; `start` and `stop` may also be called by hand, and block until it is done.

    durable: what was committed survives `kill`; without it nothing is flushed to a disk, which is quicker. options: of
    postgresql.conf. host: where it runs. The port stays the same for the life of the object.
    """

    def __init__(
        self, *, durable: bool = False, options: Mapping[str, str] | None = None, host: Host | None = None
    ) -> None:
        self._programs = find_programs()
        self.host = host or Host()
        self._options = {
            **_OPTIONS,
            "listen_addresses": self.host.address,
            **({} if durable else _FORGETFUL),
            **(options or {}),
        }
        self._account = _account()
        in_memory = Path("/dev/shm")
        parent = in_memory if not durable and in_memory.is_dir() else Path(tempfile.gettempdir())
        self.folder = Path(tempfile.mkdtemp(prefix="rtcc-postgres-", dir=parent))
        self.port = free_port()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host.address}:{self.port}"

    def url(self, database: str = "postgres") -> str:
        """For `database.url` of the settings."""
        return f"postgresql+asyncpg://{USER}@{self.address}/{database}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def start(self) -> None:
        """Starts the server on its data, which it makes if there is none, and returns when it answers."""
        if self._watchdog is None:
            self._watch()
        if not self.data.exists():
            self._run(
                "initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
            )
            with (self.data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\nhost replication all samenet trust\n")
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in self._options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = self._popen(command, log.fileno())
        self._wait_until_it_answers(self._process)

    def stop(self) -> None:
        """Ends all sessions and shuts the server down in order, as `systemctl stop` does."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kills every process of the server at once: the machine lost power, as far as the server can tell."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(_STEP_SECONDS)
        self._process = None
        _wait_until_empty(self.data)

    def restart(self) -> None:
        """Stops it in order and starts it."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """No process of the server runs until `resume`: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To every process of the server; one that serves a client may end by itself meanwhile."""
        for process_id in processes_in(self.data):
            with suppress(ProcessLookupError):
                os.kill(process_id, number)

    def make_standby(self, host: Host | None = None) -> "PostgresServer":
        """A second server that follows this one by streaming; not started yet. The caller removes it."""
        standby = PostgresServer(host=host)
        standby._options = {**self._options, "listen_addresses": standby.host.address}
        standby._watch()
        standby._run(
            "pg_basebackup", "-D", str(standby.data), "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-d", f"host={self.host.address} port={self.port} user={USER} dbname=postgres",
        )  # fmt: skip
        return standby

    def use_certificate(self, certificate: bytes, key: bytes) -> None:
        """Lets clients encrypt, from the next start on. Both are PEM."""
        for name, content in (("server.crt", certificate), ("server.key", key)):
            file = self.folder / name
            file.write_bytes(content)
            file.chmod(0o600)
            if self._account is not None:
                os.chown(file, self._account.pw_uid, self._account.pw_gid)
        self._options |= {
            "ssl": "on",
            "ssl_cert_file": str(self.folder / "server.crt"),
            "ssl_key_file": str(self.folder / "server.key"),
        }

    def promote(self) -> None:
        """Makes a standby the primary, and returns when it takes writes."""
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def remove(self) -> None:
        """Ends the server at once and deletes its folder."""
        self.resume()
        self.kill()
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait(_STEP_SECONDS)
            self._watchdog = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _watch(self) -> None:
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        command = [sys.executable, "-m", "tests.postgres_server", "watch", str(self.folder)]
        self._watchdog = subprocess.Popen(
            command, stdin=subprocess.PIPE, start_new_session=True, cwd=Path(__file__).resolve().parents[1]
        )

    def _run(self, program: str, *arguments: str) -> None:
        with self.log.open("ab") as log:
            process = self._popen([str(self._programs / program), *arguments], log.fileno())
        if process.wait(_STEP_SECONDS) != 0:
            raise RuntimeError(f"{program} failed: {self._last_words()}")

    def _popen(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        """PostgreSQL refuses to run as root: it then gets the account of its package, or nobody's."""
        account = self._account
        with self.host.entered():
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=self.folder,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                env={"PATH": os.defpath, "LC_ALL": "C"},
            )  # fmt: skip

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(_STEP_SECONDS)
        self._process = None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        ask = [str(self._programs / "pg_isready"), "-q", "-h", self.host.address, "-p", str(self.port), "-U", USER]
        deadline = time.monotonic() + _STEP_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if subprocess.run(ask, check=False).returncode == 0:
                return
            time.sleep(_ASK_AGAIN_SECONDS)  # the only way to learn that it is up is to ask again
        raise RuntimeError(f"PostgreSQL did not start: {self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def processes_in(data: Path) -> list[int]:
    """The processes of the server on this data: each of them works in that folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == data:
                found.append(int(entry.name))
    return found


def _wait_until_empty(data: Path) -> None:
    while processes_in(data):
        time.sleep(_ASK_AGAIN_SECONDS)


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _watch_until_the_pipe_closes(folder: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for process_id in processes_in(folder / "data"):
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
    _wait_until_empty(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["watch"]:
        _watch_until_the_pipe_closes(Path(sys.argv[2]))
    else:
        try:
            sys.stdout.write(f"{find_programs()}\n")
        except PostgresMissingError as missing:
            sys.exit(str(missing))
