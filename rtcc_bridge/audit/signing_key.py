"""The key that signs checkpoints: 32 bytes in base64, in a file or the environment, handled as the master key is."""

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rtcc_bridge.audit.note import NoteSigner
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.secret_files import create_secret_file, is_absent, read_secret_file

_FILE_SETTING: Final = "audit.signing_key_file"
_SEED_BYTES: Final = 32
_MOST_KEYS: Final = 16


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and earlier ones, which only vouch for it once when it takes over."""

    _seeds: tuple[bytes, ...] = field(repr=False)

    def signers(self, origin: str) -> tuple[NoteSigner, ...]:
        """The signers of the log of that name, the present one first."""
        return tuple(NoteSigner(origin, seed) for seed in self._seeds)


def load_signing_keys(settings: AuditSettings, *, may_create: bool) -> SigningKeys | None:
    """Reads the keys; None when no key is configured: then nothing is signed, and the alert tells. Blocks.

    may_create: a missing file is created with a new key (demo profile). Raises ConfigurationError; no key is in it.
    """
    if settings.signing_key is not None and settings.signing_key_file is not None:
        raise _problem("audit.signing_key", "is set beside audit.signing_key_file", "Keep one of the two")
    if settings.signing_key is not None:
        return _decode("audit.signing_key", settings.signing_key.get_secret_value())
    if settings.signing_key_file is None:
        return None
    file = settings.signing_key_file
    if may_create and is_absent(file):
        _create(file)
    return _decode(str(file), read_secret_file(_FILE_SETTING, file).decode("ascii", errors="replace"))


def _create(file: Path) -> None:
    create_secret_file(_FILE_SETTING, file, base64.b64encode(secrets.token_bytes(_SEED_BYTES)).decode() + "\n")


def _decode(path: str, text: str) -> SigningKeys:
    seeds = tuple(_decode_one(path, word) for word in text.split()[: _MOST_KEYS + 1])
    if not 1 <= len(seeds) <= _MOST_KEYS or len(set(seeds)) < len(seeds):
        raise _problem(path, "does not hold 32 bytes in base64 for each key", f"Put 1 to {_MOST_KEYS} there, each once")
    return SigningKeys(seeds)


def _decode_one(path: str, word: str) -> bytes:
    try:
        seed = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise _problem(path, "does not hold 32 bytes in base64", "Make a key with: openssl rand -base64 32")
    return seed


def _problem(path: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(path, cause, remedy))
