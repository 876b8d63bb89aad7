"""Signed notes and checkpoints in the formats of C2SP (signed-note, tlog-checkpoint, tlog-cosignature), with Ed25519.

A note is a text, an empty line, and a line for each signature. A checkpoint is a note of three lines: which log, how
many leaves, which root. Go's golang.org/x/mod/sumdb/note and the witnesses of other logs read the same.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rtcc_bridge.audit.tree import HASH_BYTES
from rtcc_bridge.errors import InvalidInputError

SIGNATURE: Final = b"\x01"
"""The kind of a log's own signature: Ed25519 over the text."""
COSIGNATURE: Final = b"\x04"
"""The kind of a witness's signature: Ed25519 over the time and the text."""

_MARK: Final = "\u2014 "
_LARGEST: Final = 65_536
_NAME = re.compile(r"[^\s+]{1,256}")
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key as notes name it: `name+id+key`, which is what an auditor is given."""

    name: str
    public: bytes
    kind: bytes = SIGNATURE

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises InvalidInputError."""
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        raw = _decoded(encoded)
        if raw is None or len(raw) != 33 or raw[:1] not in {SIGNATURE, COSIGNATURE} or not _NAME.fullmatch(name):
            raise InvalidInputError("that is no verifier key: it has the form name+id+key", "verifier_key")
        key = cls(name, raw[1:], raw[:1])
        if stated != key.key_id.hex():
            raise InvalidInputError("the verifier key was mistyped: its id is not that of its key", "verifier_key")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:_ID_BYTES]

    @property
    def label(self) -> str:
        """Enough of it to tell it from others."""
        return f"{self.name}+{self.key_id.hex()}"

    def __str__(self) -> str:
        return f"{self.label}+{base64.b64encode(self.kind + self.public).decode()}"


class NoteSigner:
    """Signs notes under one name."""

    def __init__(self, name: str, seed: bytes) -> None:
        """seed: the 32 bytes of an Ed25519 private key (RFC 8032)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    def line(self, text: str) -> str:
        """The signature line for this text."""
        return _signature_line(self.verifier, self._key.sign(text.encode()))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: which log, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the signature lines as they came; nothing is believed of them until `signed_by` said so."""

    checkpoint: Checkpoint
    text: str
    lines: tuple[str, ...]

    @classmethod
    def read(cls, note: str) -> Self:
        """Raises InvalidInputError for what is no note, or a note that is no checkpoint."""
        text, separator, rest = note.rpartition("\n\n")
        lines = tuple(rest.splitlines(keepends=True))
        if not separator or len(note) > _LARGEST or not lines or not all(map(_is_line, lines)):
            raise InvalidInputError("that is no signed note", "signed_note")
        return cls(_read_checkpoint(text + "\n"), text + "\n", lines)

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether this key signed it. Raises InvalidInputError for a signature that says so and is not true."""
        return any(_is_true(key, line, self.text) for line in self.lines if _names(key, line))

    def with_lines(self, lines: Sequence[str]) -> str:
        """The note with more signatures."""
        return self.text + "\n" + "".join((*self.lines, *lines))

    @property
    def note(self) -> str:
        return self.with_lines(())


def signed(checkpoint: Checkpoint, signers: Sequence[NoteSigner]) -> str:
    """The note."""
    text = checkpoint.text()
    return text + "\n" + "".join(signer.line(text) for signer in signers)


def _read_checkpoint(text: str) -> Checkpoint:
    """Lines behind the third are extensions, which change nothing about these three."""
    origin, size, root, *_ = (*text.splitlines(), "", "", "")
    raw = _decoded(root)
    if not origin or not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or raw is None or len(raw) != HASH_BYTES:
        raise InvalidInputError("that note is no checkpoint: origin, size and root are missing", "checkpoint")
    return Checkpoint(origin, int(size), raw)


def _is_line(line: str) -> bool:
    name, _, encoded = line.removeprefix(_MARK).rstrip("\n").partition(" ")
    raw = _decoded(encoded)
    is_whole = line.startswith(_MARK) and line.endswith("\n") and _NAME.fullmatch(name) is not None
    return is_whole and raw is not None and len(raw) > _ID_BYTES


def _signature_line(key: VerifierKey, signature: bytes) -> str:
    return f"{_MARK}{key.name} {base64.b64encode(key.key_id + signature).decode()}\n"


def _parts(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_MARK).rstrip("\n").partition(" ")
    return name, _decoded(encoded) or b""


def _names(key: VerifierKey, line: str) -> bool:
    name, raw = _parts(line)
    return name == key.name and raw[:_ID_BYTES] == key.key_id


def _is_true(key: VerifierKey, line: str, text: str) -> bool:
    signature = _parts(line)[1][_ID_BYTES:]
    message = text.encode()
    if key.kind == COSIGNATURE:
        at = int.from_bytes(signature[:_TIME_BYTES], "big")
        signature, message = signature[_TIME_BYTES:], f"cosignature/v1\ntime {at}\n".encode() + message
    try:
        if len(signature) != _SIGNATURE_BYTES:
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature as error:
        raise InvalidInputError(f"a signature in the name of {key.name} is not true", "signature") from error
    return True


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
