"""The signature of a pack: who vouches for these networks with this calibration and this evaluation (P28).

Ed25519 over the pack's hash, which pins pack.json and through it every file of the pack.
"""

import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE
from rtcc_bridge.qualification.pack_files import require_own_pack
from rtcc_bridge.signing_keys import is_signed, key_name, load_private_key, sign

_FORMAT: Final = 1
_CONTEXT: Final = b"rtcc-bridge model pack\n"
"""Signed with the hash, so that no signature of anything else passes for one of a pack."""

_MOST_BYTES: Final = 10_000


def sign_pack(pack: ModelPack, key_file: Path) -> str:
    """Write the signature beside pack.json; returns the public key's name. Blocks.

    Raises ConflictError when the pack has no calibration or no evaluation, so that there is nothing to vouch for, or is
    the default one; ConfigurationError when the file is no private key or others may read it.
    """
    require_own_pack(pack)
    for what, command in ((pack.calibration, "models calibrate"), (pack.evaluation, "evaluate --record")):
        if what is None:
            raise ConflictError(f"the pack {pack.name} cannot be signed yet: run `rtcc-bridge {command}` first")
    key = load_private_key("--key", key_file)
    document = {
        "format": _FORMAT,
        "pack_hash": pack.pack_hash,
        "public_key": key_name(key.public_key()),
        "signature": sign(key, _message(pack.pack_hash)),
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
    if not is_signed(key, document["signature"], _message(pack.pack_hash)):
        return f"its signature is not that of the key {key_name(key)}"
    return ""


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
