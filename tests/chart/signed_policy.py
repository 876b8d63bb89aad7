"""The example policy under two signatures, as values of the chart. Its keys are these tests' alone, and no secret."""

import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rtcc_bridge.policy.policy_file import policy_hash
from rtcc_bridge.policy.policy_signatures import Signer
from rtcc_bridge.signing_keys import key_name, sign
from tests.chart.rendering import ROOT

_KEYS: Final[Mapping[Signer, Ed25519PrivateKey]] = {
    signer: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number, signer in enumerate(Signer)
}


def signatures() -> tuple[str, ...]:
    """Options of Helm: the signatures, and the two public keys. The same at each call, so a rendering is made once."""
    hashed = policy_hash((ROOT / "config/policy.yaml").read_bytes())
    signed = {
        signer.value: {
            "public_key": key_name(key.public_key()),
            "signature": sign(key, f"rtcc-bridge policy\n{signer}\n{hashed}".encode()),  # as docs/policy-file.md says
        }
        for signer, key in _KEYS.items()
    }
    values = {
        "signatures": json.dumps({"format": 1, "policy_hash": hashed, "signatures": signed}),
        "administratorKey": _pem(Signer.ADMINISTRATOR),
        "cityKey": _pem(Signer.CITY),
    }
    return tuple(f"--set-json=policy.{name}={json.dumps(text)}" for name, text in values.items())


def _pem(signer: Signer) -> str:
    public = _KEYS[signer].public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
