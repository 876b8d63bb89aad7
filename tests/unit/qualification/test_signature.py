"""A pack's signature holds for this pack, with this calibration and evaluation, by this key, and for nothing else."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from rtcc_bridge.errors import ConfigurationError, ConflictError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE, add_pack
from rtcc_bridge.qualification.pack_files import put_into_pack
from rtcc_bridge.qualification.signature import sign_pack, signature_problem
from rtcc_bridge.signing_keys import load_public_key
from tests.signing_keys import KeyPair, key_pair
from tests.unit.qualification.packs import paper_pack


@pytest.fixture
def pack(tmp_path: Path) -> ModelPack:
    made = put_into_pack(paper_pack(tmp_path / "pack"), "calibration", lambda path: _write(path, "calibration"))
    return put_into_pack(made, "evaluation", lambda path: _write(path, "evaluation"))


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return key_pair(tmp_path / "keys")


def test_what_was_signed_is_vouched_for(pack: ModelPack, keys: KeyPair) -> None:
    assert signature_problem(pack, keys.key) == "it is not signed"
    sign_pack(pack, keys.private)
    assert signature_problem(load_pack(pack.folder), load_public_key("--key", keys.public)) == ""


def test_the_signature_is_over_the_hash_in_its_context(pack: ModelPack, keys: KeyPair) -> None:
    """What another program has to check: Ed25519 over these bytes."""
    sign_pack(pack, keys.private)
    document = json.loads((pack.folder / SIGNATURE_FILE).read_text())
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["public_key"]))
    key.verify(base64.b64decode(document["signature"]), b"rtcc-bridge model pack\n" + pack.pack_hash.encode())


def test_another_key_vouches_for_nothing(pack: ModelPack, keys: KeyPair, tmp_path: Path) -> None:
    """Also when the file claims to be by the key that counts."""
    other = key_pair(tmp_path / "other")
    sign_pack(pack, other.private)
    assert "not that of the key" in signature_problem(pack, keys.key)
    document = json.loads((pack.folder / SIGNATURE_FILE).read_text())
    sign_pack(pack, keys.private)
    genuine = json.loads((pack.folder / SIGNATURE_FILE).read_text())
    (pack.folder / SIGNATURE_FILE).write_text(json.dumps({**document, "public_key": genuine["public_key"]}))
    assert "not that of the key" in signature_problem(pack, keys.key)


def test_a_pack_that_was_changed_is_not_vouched_for(pack: ModelPack, keys: KeyPair) -> None:
    sign_pack(pack, keys.private)
    signature = (pack.folder / SIGNATURE_FILE).read_bytes()
    changed = put_into_pack(pack, "evaluation", lambda path: _write(path, "better figures"))
    (pack.folder / SIGNATURE_FILE).write_bytes(signature)
    assert signature_problem(changed, keys.key) == "it was changed after it was signed"


def test_the_hash_in_the_file_is_not_what_is_believed(pack: ModelPack, keys: KeyPair) -> None:
    sign_pack(pack, keys.private)
    document = json.loads((pack.folder / SIGNATURE_FILE).read_text())
    changed = put_into_pack(pack, "evaluation", lambda path: _write(path, "better figures"))
    (pack.folder / SIGNATURE_FILE).write_text(json.dumps({**document, "pack_hash": changed.pack_hash}))
    assert "not that of the key" in signature_problem(changed, keys.key)


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    "damage",
    [
        _without("signature"),
        lambda document: {**document, "signature": 5},
        lambda document: {**document, "format": 2},
        lambda document: {**document, "more": "x"},
        lambda document: [document],
        lambda document: {**document, "signature": "not base64 \N{SNOWMAN}"},
        lambda document: {**document, "signature": "AAAA"},
    ],
)
def test_a_damaged_signature_is_none(pack: ModelPack, keys: KeyPair, damage: Callable[[dict[str, Any]], Any]) -> None:
    sign_pack(pack, keys.private)
    path = pack.folder / SIGNATURE_FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    assert signature_problem(pack, keys.key)
    path.write_text("not JSON")
    assert "is not JSON" in signature_problem(pack, keys.key)


def test_nothing_is_vouched_for_that_was_not_measured(keys: KeyPair, tmp_path: Path) -> None:
    bare = paper_pack(tmp_path / "bare")
    with pytest.raises(ConflictError, match="models calibrate"):
        sign_pack(bare, keys.private)
    calibrated = put_into_pack(bare, "calibration", lambda path: _write(path, "calibration"))
    with pytest.raises(ConflictError, match="evaluate --record"):
        sign_pack(calibrated, keys.private)
    with pytest.raises(ConflictError, match="demonstration"):
        sign_pack(paper_pack(tmp_path / "default", "default"), keys.private)


def test_keys_that_are_none_are_refused(pack: ModelPack, keys: KeyPair, tmp_path: Path) -> None:
    keys.public.chmod(0o600)
    with pytest.raises(ConfigurationError, match="private key"):
        sign_pack(pack, keys.public)
    with pytest.raises(ConfigurationError, match="public key"):
        load_public_key("--key", keys.private)
    with pytest.raises(ConfigurationError, match="public key"):
        load_public_key("--key", tmp_path / "gone.pem")
    of_another_kind = X25519PrivateKey.generate()
    path = tmp_path / "other.pem"
    path.write_bytes(of_another_kind.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="Ed25519 private key"):
        sign_pack(pack, path)
    public = of_another_kind.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(public)
    with pytest.raises(ConfigurationError, match="Ed25519 public key"):
        load_public_key("--key", path)
    keys.private.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        sign_pack(pack, keys.private)


def test_a_pack_that_is_added_keeps_its_signature(pack: ModelPack, keys: KeyPair, tmp_path: Path) -> None:
    """Also when it was added before it was signed."""
    added = add_pack(pack.folder, tmp_path / "packs")
    assert signature_problem(load_pack(added), keys.key) == "it is not signed"
    sign_pack(pack, keys.private)
    assert add_pack(pack.folder, tmp_path / "packs") == added
    assert signature_problem(load_pack(added), keys.key) == ""


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
