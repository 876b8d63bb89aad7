"""Kafka's classes as the Java machine has them in memory after a start, kept in a file: the next starts are quicker.

The archive (class data sharing, JDK 13 and newer) is written by a program that ends in order, so a node is started and
stopped once for it. It holds for one Java and one set of jars; without it everything works as well, only later.
"""

import fcntl
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.kafka_cluster.distribution import fetch, java

_OPTION: Final = "-XX:SharedArchiveFile="


def options() -> list[str]:
    """For the Java machine: those that make it use the archive, if there is one."""
    archive = _archive()
    return [f"{_OPTION}{archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"] if archive.exists() else []


def make_once(run: Callable[[list[str]], None]) -> None:
    """Makes the archive if there is none, in one process at a time. Blocks, for some ten seconds the first time.

    run: starts Kafka with these options of the Java machine, and ends it in order when it serves.
    """
    archive = _archive()
    if archive.exists():
        return
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            return
        unfinished = archive.with_suffix(".partial")
        run([f"-XX:ArchiveClassesAtExit={unfinished}"])
        unfinished.touch()  # a Java machine that makes none is not asked again, and takes no harm from an empty one
        unfinished.rename(archive)


def _archive() -> Path:
    """Named after the Java program, since another one could not read it."""
    program = Path(java()).resolve()
    mark = hashlib.sha256(f"{program} {program.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    folder = fetch()
    return folder.with_name(f"{folder.name}-{mark}.jsa")
