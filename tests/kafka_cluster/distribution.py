"""Apache Kafka's programs, resolved once with Maven and kept in a cache folder."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

_POM: Final = Path(__file__).with_name("pom.xml")
_COPY_DEPENDENCIES: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_JAVA_REMEDY: Final = "install a JDK 17 or newer (Debian: openjdk-17-jre-headless), or set JAVA_HOME"
_MAVEN_REMEDY: Final = "install Maven (Debian: maven)"


class KafkaNotAvailableError(Exception):
    """Apache Kafka cannot be run on this machine; the text says what to do about it."""


def java() -> str:
    """The path of the Java program. Raises KafkaNotAvailableError without one."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise KafkaNotAvailableError(f"no Java here: {_JAVA_REMEDY}")
    return found


def kafka_version() -> str:
    """The version of Apache Kafka that pom.xml pins."""
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    for dependency in ET.parse(_POM).iterfind("m:dependencies/m:dependency", space):
        if dependency.findtext("m:artifactId", namespaces=space) == "kafka_2.13":
            return dependency.findtext("m:version", "", space)
    raise KafkaNotAvailableError(f"{_POM} names no kafka_2.13")


def cache_folder() -> Path:
    """Where the programs are kept: KAFKA_CACHE, or a folder in the user's cache."""
    if given := os.environ.get("KAFKA_CACHE"):
        return Path(given)
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return user / "rtcc-bridge" / f"kafka-{kafka_version()}"


def fetch() -> Path:
    """The folder of Kafka's jars; they are downloaded when they are not there yet, by one process at a time.

    A complete folder is used as it is, without Maven and without a network. Blocks, for about a minute at worst.
    Raises KafkaNotAvailableError without Java or Maven, and when Maven fails.
    """
    java()
    folder = cache_folder()
    if _is_complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(folder):
            _resolve(folder)
    return folder


def _is_complete(folder: Path) -> bool:
    """The copy of pom.xml comes last, and says what the folder was made from."""
    made_from = folder / _POM.name
    return made_from.is_file() and made_from.read_bytes() == _POM.read_bytes()


def _resolve(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaNotAvailableError(f"no Maven here to download Apache Kafka with: {_MAVEN_REMEDY}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="kafka-partial-") as scratch:
        pom = Path(shutil.copy(_POM, scratch))
        jars = Path(scratch) / "jars"
        command = [
            maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--file", str(pom),
            _COPY_DEPENDENCIES, "-DincludeScope=runtime", f"-DoutputDirectory={jars}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line) or done.stderr
            raise KafkaNotAvailableError(f"Maven could not resolve Apache Kafka:\n{said}")
        shutil.copy(_POM, jars)
        shutil.rmtree(folder, ignore_errors=True)
        jars.rename(folder)
