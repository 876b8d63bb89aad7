"""Files that hold a secret: read only when nobody reads it who should not."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.storage.durability import sync_folder

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


def create_secret_file(setting: str, file: Path, text: str) -> None:
    """Writes the text beside the file and links it there: nobody sees half a secret, the first of two writers wins.

    Blocks. Raises ConfigurationError.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = draft_beside(file, text)
        try:
            with suppress(FileExistsError):
                os.link(draft, file)
        finally:
            draft.unlink()
        sync_folder(file.parent)
    except OSError as error:
        cause = f"{file} cannot be created ({error.strerror})"
        raise _problem(setting, cause, "Name a file in a writable folder") from error


def draft_beside(file: Path, text: str) -> Path:
    """The text in a new file beside, for the owner alone and safe on the disk. Blocks. Raises OSError."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    return draft


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
