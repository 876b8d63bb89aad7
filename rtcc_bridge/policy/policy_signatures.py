"""The two signatures of a policy, which stand in one file beside it (P21).

Each is Ed25519 over the hash of the policy's bytes and over the part in which it is given, so that the administrator's
does not pass for the city's. What is verified is the bytes that were read, never the file's name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, ConflictError
from rtcc_bridge.policy.policy_file import parse_policy, policy_hash, read_policy
from rtcc_bridge.signing_keys import is_signed, key_name, load_private_key, load_public_key, sign

_CONTEXT: Final = b"rtcc-bridge policy\n"
"""Signed with the rest, so that no signature of anything else passes for one of a policy."""

_MOST_BYTES: Final = 10_000
_SIGN_AGAIN: Final = "Remove it and have both sign the policy again (`rtcc-bridge policy sign`)"

Base64 = Annotated[str, Field(max_length=200)]


class Signer(StrEnum):
    """Who has to sign: whoever runs the program, and the city that permitted it."""

    ADMINISTRATOR = "administrator"
    CITY = "city"


class Signature(BaseModel):
    """One of the two. public_key only says which key was used: what counts is the one that the settings name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public_key: Base64
    signature: Base64


class SignatureFile(BaseModel):
    """What stands beside the policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    policy_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signatures: Mapping[Signer, Signature]


@dataclass(frozen=True, slots=True)
class SignerKeys:
    """The public keys whose signatures count, by who holds the private one."""

    keys: Mapping[Signer, Ed25519PublicKey]

    @classmethod
    def load(cls, files: Mapping[Signer, tuple[str, Path | None]]) -> "SignerKeys":
        """files: by signer the setting or option that names the file, and the file. Blocks.

        Raises ConfigurationError when one is not named, cannot be read, or is the other's key as well.
        """
        keys = {}
        for signer in Signer:
            setting, file = files[signer]
            if file is None:
                cause = f"no key is named whose signature counts as that of the {signer}"
                raise _problem(setting, cause, "Name the file with the public key (Ed25519, PEM)")
            keys[signer] = load_public_key(setting, file)
        if len({key_name(key) for key in keys.values()}) < len(keys):
            setting, _ = files[Signer.CITY]
            raise _problem(
                setting,
                "administrator and city have the same key: two signatures by one key are one",
                "Name the key that the city holds",
            )
        return cls(keys)


def signature_file_of(policy_file: Path) -> Path:
    """Where the signatures of a policy stand when nothing else is said."""
    return policy_file.with_name(f"{policy_file.name}.signatures")


def sign_policy(policy_file: Path, signer: Signer, key_file: Path, *, signatures: Path, now: datetime) -> SignatureFile:
    """Adds a signature; returns what stands in the file now. Blocks.

    Signatures of other bytes are left out: they hold for nothing any more. Raises ConflictError when the policy has
    expired or the key has signed as the other signer, ConfigurationError for a file that is no policy or cannot be
    read, and when others may read the private key.
    """
    content = read_policy(policy_file)
    hashed, policy = policy_hash(content), parse_policy(policy_file, content)
    if now >= policy.expires_at:
        raise ConflictError(
            f"this policy held until {policy.valid_until.isoformat()}: give it new days before you sign"
        )
    key = load_private_key("--key", key_file)
    name = key_name(key.public_key())
    earlier = _read_if_there(signatures)
    kept = {} if earlier is None or earlier.policy_hash != hashed else dict(earlier.signatures)
    for other, signature in kept.items():
        if other is not signer and signature.public_key == name:
            raise ConflictError(f"this key has signed as {other} already: the {signer} signs with a key of its own")
    kept[signer] = Signature(public_key=name, signature=sign(key, _message(signer, hashed)))
    document = SignatureFile(policy_hash=hashed, signatures={each: kept[each] for each in Signer if each in kept})
    fresh = signatures.with_name(f".{signatures.name}.new")
    try:
        fresh.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
        fresh.replace(signatures)
    except OSError as error:
        cause = f"cannot be written ({error.strerror})"
        raise _problem(str(signatures), cause, "Sign where it may be, and put the file in place") from error
    return document


def signature_problem(content: bytes, signatures: Path, signers: SignerKeys) -> str:
    """Why these bytes cannot be said to be signed by both; empty when they are. Blocks."""
    try:
        document = _read_if_there(signatures)
    except ConfigurationError as error:
        return "; ".join(f"{problem.path} {problem.cause}" for problem in error.problems)
    if document is None:
        return "it is not signed"
    hashed = policy_hash(content)
    if document.policy_hash != hashed:
        return "it was changed after it was signed"
    for signer, key in signers.keys.items():
        signature = document.signatures.get(signer)
        if signature is None:
            return f"the {signer} has not signed it"
        if not is_signed(key, signature.signature, _message(signer, hashed)):
            return f"the signature of the {signer} is not that of the key {key_name(key)}"
    return ""


def _read_if_there(path: Path) -> SignatureFile | None:
    """Raises ConfigurationError when it is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _problem(str(path), f"cannot be read ({error.strerror})", "Let this user read it") from error
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError("it is too large")
        json.loads(content)  # a sentence of json is shorter than one of pydantic
        return SignatureFile.model_validate_json(content)
    except ValidationError as error:
        raise _problem(str(path), "is not a signature file of this format", _SIGN_AGAIN) from error
    except ValueError as error:
        raise _problem(str(path), f"is damaged ({error})", _SIGN_AGAIN) from error


def _message(signer: Signer, hashed: str) -> bytes:
    return _CONTEXT + f"{signer}\n{hashed}".encode()


def _problem(path: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(path, cause, remedy))
