"""Master keys, which wrap the key of every sealed object. In the demo other keys follow from them (`derive`).

A source holds one or several, each 32 bytes in base64 and separated by white space. The first one wraps; the others are
earlier ones, which open what they wrapped until a rotation has wrapped it anew.
"""

import base64
import binascii
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, IntegrityError
from rtcc_bridge.secret_files import create_secret_file, draft_beside, is_absent, read_secret_file
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.durability import sync_folder

MOST_KEYS: Final = 16
"""Of one source: more would be keys that nobody needs any more."""
_KEY_BYTES: Final = 32
_FILE_SETTING: Final = "objects.master_key_file"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key of 256 bits and the public name by which object keys say which master key wrapped them.

    Wrapping is AES-KW (RFC 3394; NIST SP 800-38F, section 6.2): it is authenticated, needs no nonce, and so has no
    limit on how many objects one master key may serve.
    """

    key_id: str
    _key: bytes = field(repr=False)

    def wrap(self, object_key: bytes) -> bytes:
        return aes_key_wrap(self._key, object_key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises IntegrityError when it was wrapped by another key or altered."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except (InvalidUnwrap, ValueError) as error:
            raise IntegrityError(
                f"the key of a sealed object does not open with master key {self.key_id}: it was altered"
            ) from error

    def derive(self, purpose: bytes) -> bytes:
        """32 bytes that follow from this key for one purpose and say nothing of it (HKDF, RFC 5869)."""
        return HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(self._key)


def load_master_keys(settings: ObjectSettings, may_create: bool) -> tuple[MasterKey, ...]:
    """Reads the master keys from the environment or from their file, the one that wraps first. Blocks.

    may_create: a missing file is created with a new key (demo profile). Raises ConfigurationError when there is no key,
    or two sources, when one is malformed, or when others than the owner may read the file. No key is in any message.
    """
    if settings.master_key is not None and settings.master_key_file is not None:
        raise _problem("objects.master_key", "is set beside objects.master_key_file", "Keep one of the two")
    if settings.master_key is not None:
        return _decode("objects.master_key", settings.master_key.get_secret_value())
    if settings.master_key_file is None:
        raise _problem(_FILE_SETTING, "no master key is configured", "Name its file, or set objects.master_key")
    file = settings.master_key_file
    if may_create and is_absent(file):
        _create(file)
    return _decode(str(file), _read(file))


def put_new_key_first(file: Path) -> MasterKey:
    """Writes a new master key before those in the file, which stay, as do its owner and who may read it. Blocks.

    The file is replaced at once, so that nobody reads half of it; of two that do this at the same time one waits.
    Raises ConfigurationError when the file cannot be read or replaced.
    """
    try:
        with _alone(file.parent):
            text = _read(file)
            known = _decode(str(file), text)
            if len(known) >= MOST_KEYS:
                cause = f"{file} holds {len(known)} master keys already"
                raise _problem(_FILE_SETTING, cause, "Remove those that `rtcc-bridge keys status` says nothing needs")
            secret = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
            draft = draft_beside(file, "\n".join([secret, *text.split()]) + "\n")
            try:
                _give_to_owner_of(file, draft)
                draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)
            sync_folder(file.parent)
    except OSError as error:
        cause = f"{file} cannot be replaced ({error.strerror})"
        remedy = "Put the new key on its first line by your own means, then run `rtcc-bridge keys rotate --no-new-key`"
        raise _problem(_FILE_SETTING, cause, remedy) from error
    return _decode(str(file), secret)[0]


def _give_to_owner_of(file: Path, draft: Path) -> None:
    """An administrator who rotates is not the user that the daemon runs as."""
    kept = file.stat()
    if kept.st_uid != draft.stat().st_uid:
        os.chown(draft, kept.st_uid, kept.st_gid)
        draft.chmod(kept.st_mode)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(file: Path) -> str:
    return read_secret_file(_FILE_SETTING, file).decode("ascii", errors="replace")


def _decode(path: str, text: str) -> tuple[MasterKey, ...]:
    keys = tuple(_decode_one(path, word) for word in text.split()[: MOST_KEYS + 1])
    if not 1 <= len(keys) <= MOST_KEYS or len({key.key_id for key in keys}) < len(keys):
        remedy = f"Put 1 to {MOST_KEYS} keys there, each once. Make one with: openssl rand -base64 32"
        raise _problem(path, "does not hold 32 bytes in base64 for each key", remedy)
    return keys


def _decode_one(path: str, word: str) -> MasterKey:
    try:
        key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise _problem(path, "does not hold 32 bytes in base64", "Make one with: openssl rand -base64 32")
    # The key is uniformly random, so a digest of it tells nothing about it.
    return MasterKey(hashlib.sha256(b"rtcc-bridge master key" + key).hexdigest()[:16], key)


def _create(file: Path) -> None:
    create_secret_file(_FILE_SETTING, file, base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")


def _problem(path: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(path, cause, remedy))
