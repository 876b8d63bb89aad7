"""Files that hold a secret: read only when nobody reads it who should not."""

import os
import stat
from pathlib import Path
from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem

_MOST_BYTES: Final = 64 * 1024


def is_absent(file: Path) -> bool:
    """Whether there surely is no such file. Of one that may not even be asked for, reading it tells why. Blocks."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read_secret_file(setting: str, file: Path) -> bytes:
    """Its first 64 KiB. Blocks. Raises ConfigurationError, without the secret.

    setting: which one names the file. The rights that are checked are those of the file that is read, even if another
    one takes its name meanwhile.
    """
    try:
        # Not blocking, since opening a pipe would wait for somebody who writes to it.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as opened:
            _require_private(setting, file, os.fstat(opened.fileno()))
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise _unreadable(setting, file, error) from error


def require_private(setting: str, file: Path) -> None:
    """For a file that a library reads by itself. Blocks. Raises ConfigurationError as `read_secret_file` does."""
    try:
        status = file.stat()
    except OSError as error:
        raise _unreadable(setting, file, error) from error
    _require_private(setting, file, status)


def _require_private(setting: str, file: Path, status: os.stat_result) -> None:
    """Others may not use it. A group may read it where the file is somebody else's: that is how secrets are mounted."""
    if not stat.S_ISREG(status.st_mode):
        raise _problem(setting, f"{file} is not a regular file", "Name the file that holds the secret")
    is_own = status.st_uid == os.geteuid()
    if status.st_mode & (0o077 if is_own else 0o037):
        cause = f"{file} has mode {stat.S_IMODE(status.st_mode):04o}: others may use it"
        raise _problem(setting, cause, f"Run: chmod {'0600' if is_own else '0440'} {file}")


def _unreadable(setting: str, file: Path, error: OSError) -> ConfigurationError:
    return _problem(setting, f"{file} cannot be read ({error.strerror})", "Name the file that holds the secret")


def _problem(setting: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(setting, cause, remedy))
