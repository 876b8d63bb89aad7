"""Keeps two daemons from working on one SQLite database: each believes to be the only relay, scrubber and reconciler.

The command line works beside a daemon; what it does is a transaction each time, which SQLite itself keeps apart.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem


@contextmanager
def sole_daemon(database: Path | None) -> Iterator[None]:
    """Holds a lock on a file beside the database. The kernel gives it back when the process ends, however it ends.

    database: None for one that is not a file of its own, where nothing is locked. The file stays: to remove it would
    let two hold a lock, one on the old file and one on the new. Raises ConfigurationError.
    """
    if database is None:
        yield
        return
    file = database.with_name(f"{database.name}.lock")
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        problem = f"{file} cannot be made ({error.strerror})"
        raise ConfigurationError(
            ConfigurationProblem("database.url", problem, "Name a folder that this user may write to, or let it")
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(_why(database, error)) from error
    try:
        yield
    finally:
        os.close(lock)


def _why(database: Path, error: OSError) -> ConfigurationProblem:
    if isinstance(error, BlockingIOError):
        return ConfigurationProblem(
            "database.url",
            f"another daemon works on {database}, and SQLite serves one process only",
            "Stop that one first, or let database.url name another file; PostgreSQL serves several processes",
        )
    return ConfigurationProblem(
        "database.url",
        f"the file system of {database} knows no locks ({error.strerror})",
        "Put the database on a disk of this machine",
    )
