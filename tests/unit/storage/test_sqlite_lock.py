"""One daemon works on a SQLite database, and the next one can when that has ended, however it ended."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.storage.sqlite_lock import sole_daemon

HOLDS = """
import sys, time
from pathlib import Path
from rtcc_bridge.storage.sqlite_lock import sole_daemon
with sole_daemon(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
ROOT = Path(__file__).resolve().parents[3]


def test_a_second_one_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "floor" / "rtcc.sqlite3"
    with sole_daemon(file):
        refused = pytest.raises(ConfigurationError, match=r"another daemon works on .*rtcc\.sqlite3.*PostgreSQL")
        with refused, sole_daemon(file):
            pytest.fail("two hold it")
        with sole_daemon(tmp_path / "other.sqlite3"):
            pass
    with sole_daemon(file):
        pass


def test_a_process_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "rtcc.sqlite3"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match="another daemon"), sole_daemon(file):
            pass
        one.send_signal(signal.SIGKILL)
    with sole_daemon(file):
        assert (tmp_path / "rtcc.sqlite3.lock").stat().st_mode & 0o777 == 0o600


def test_a_program_that_the_daemon_starts_does_not_keep_it(tmp_path: Path) -> None:
    file = tmp_path / "rtcc.sqlite3"
    with sole_daemon(file):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with sole_daemon(file):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_database_that_is_no_file_is_nobodys_alone() -> None:
    with sole_daemon(None), sole_daemon(None):
        pass


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "rtcc.sqlite3.lock").mkdir()
    refused = pytest.raises(ConfigurationError, match=r"rtcc\.sqlite3\.lock cannot be made")
    with refused, sole_daemon(tmp_path / "rtcc.sqlite3"):
        pytest.fail("it was held")
