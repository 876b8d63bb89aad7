"""Ed25519 keys (RFC 8032) in PEM files, and their signatures as text.

A public key that stands beside a signature only says which key to ask for: what counts is the key that the settings
name.
"""

import base64
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.secret_files import read_secret_file

_MOST_BYTES: Final = 10_000
_KEY_HELP: Final = "Make a pair with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`"


def load_public_key(setting: str, file: Path) -> Ed25519PublicKey:
    """setting: which one names the file. Blocks. Raises ConfigurationError."""
    try:
        with file.open("rb") as opened:
            key = load_pem_public_key(opened.read(_MOST_BYTES))
    except (OSError, ValueError) as error:
        raise _no_key(setting, file, "a public key", error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(setting, file, "an Ed25519 public key", None)
    return key


def load_private_key(setting: str, file: Path) -> Ed25519PrivateKey:
    """setting: which one names the file. Blocks. Raises ConfigurationError, also when others may read the file."""
    try:
        key = load_pem_private_key(read_secret_file(setting, file), password=None)
    except (TypeError, ValueError) as error:  # TypeError: it is encrypted
        raise _no_key(setting, file, "an unencrypted private key", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(setting, file, "an Ed25519 private key", None)
    return key


def key_name(key: Ed25519PublicKey) -> str:
    """The key itself, as text: 32 bytes are short enough to compare by eye."""
    return _encoded(key.public_bytes_raw())


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """The signature in base64."""
    return _encoded(key.sign(message))


def is_signed(key: Ed25519PublicKey, signature: str, message: bytes) -> bool:
    """Whether the signature, in base64, is that of the key over the message."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):  # ValueError: it is not base64
        return False
    return True


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _no_key(setting: str, file: Path, what: str, error: Exception | None) -> ConfigurationError:
    cause = f"{file} is not {what}" if error is None else f"{file} is not {what} in PEM form ({error})"
    return ConfigurationError(ConfigurationProblem(setting, cause, _KEY_HELP))
