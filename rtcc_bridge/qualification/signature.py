"""The signature of a pack: who vouches for these networks with this calibration and this evaluation (P28).

Ed25519 (RFC 8032) over the pack's hash, which pins pack.json and through it every file of the pack. The public key in
the signature file only says which key to ask for: what counts is the key that the agency has named.
"""

import base64
import json
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, ConflictError
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE
from rtcc_bridge.qualification.pack_files import require_own_pack
from rtcc_bridge.secret_files import read_secret_file

_FORMAT: Final = 1
_CONTEXT: Final = b"rtcc-bridge model pack\n"
"""Signed with the hash, so that no signature of anything else passes for one of a pack."""

_MOST_BYTES: Final = 10_000
_KEY_HELP: Final = "Make a pair with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`"


def sign_pack(pack: ModelPack, key_file: Path) -> str:
    """Write the signature beside pack.json; returns the public key's name. Blocks.

    Raises ConflictError when the pack has no calibration or no evaluation, so that there is nothing to vouch for, or is
    the default one; ConfigurationError when the file is no private key or others may read it.
    """
    require_own_pack(pack)
    for what, command in ((pack.calibration, "models calibrate"), (pack.evaluation, "evaluate --record")):
        if what is None:
            raise ConflictError(f"the pack {pack.name} cannot be signed yet: run `rtcc-bridge {command}` first")
    key = _private_key(key_file)
    document = {
        "format": _FORMAT,
        "pack_hash": pack.pack_hash,
        "public_key": _encoded(key.public_key().public_bytes_raw()),
        "signature": _encoded(key.sign(_message(pack.pack_hash))),
    }
    fresh = pack.folder / f".{SIGNATURE_FILE}.new"
    fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    fresh.replace(pack.folder / SIGNATURE_FILE)
    return key_name(key.public_key())


def signature_problem(pack: ModelPack, key: Ed25519PublicKey) -> str:
    """Why the pack cannot be said to be signed with this key; empty when it is. Blocks."""
    try:
        document = _read(pack.folder / SIGNATURE_FILE)
    except FileNotFoundError:
        return "it is not signed"
    except ModelPackError as error:
        return str(error)
    if document["pack_hash"] != pack.pack_hash:
        return "it was changed after it was signed"
    try:
        key.verify(_decoded(document["signature"]), _message(pack.pack_hash))
    except (InvalidSignature, ValueError):  # ValueError: it is not base64
        return f"its signature is not that of the key {key_name(key)}"
    return ""


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


def key_name(key: Ed25519PublicKey) -> str:
    """The key itself, as text: 32 bytes are short enough to compare by eye."""
    return _encoded(key.public_bytes_raw())


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_secret_file("--key", file), password=None)
    except (TypeError, ValueError) as error:  # TypeError: it is encrypted
        raise _no_key("--key", file, "an unencrypted private key", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("--key", file, "an Ed25519 private key", None)
    return key


def _no_key(setting: str, file: Path, what: str, error: Exception | None) -> ConfigurationError:
    cause = f"{file} is not {what}" if error is None else f"{file} is not {what} in PEM form ({error})"
    return ConfigurationError(ConfigurationProblem(setting, cause, _KEY_HELP))


def _read(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError, and ModelPackError when it is no signature."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES)
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ModelPackError(f"{path} is not JSON: sign the pack again") from error
    names = {"format", "pack_hash", "public_key", "signature"}
    if not isinstance(document, dict) or set(document) != names or document["format"] != _FORMAT:
        raise ModelPackError(f"{path} is not a signature of this format: sign the pack again")
    if not all(isinstance(document[name], str) for name in names - {"format"}):
        raise ModelPackError(f"{path} is damaged: sign the pack again")
    return document


def _message(pack_hash: str) -> bytes:
    return _CONTEXT + pack_hash.encode()


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
