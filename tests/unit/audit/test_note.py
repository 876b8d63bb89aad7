"""Signed checkpoints: what is read is what was written, and only a true signature counts."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rtcc_bridge.audit.note import COSIGNATURE, Checkpoint, NoteSigner, SignedCheckpoint, VerifierKey, signed
from rtcc_bridge.errors import InvalidInputError

ORIGIN = "city.example/audit/0011"
CHECKPOINT = Checkpoint(ORIGIN, 17, bytes(range(32)))
SIGNER = NoteSigner(ORIGIN, b"\x01" * 32)
NEXT = NoteSigner(ORIGIN, b"\x02" * 32)

PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key of the example in the documentation of Go's package `note`."""


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    read = SignedCheckpoint.read(signed(CHECKPOINT, [SIGNER, NEXT]))
    assert read.checkpoint == CHECKPOINT
    assert read.signed_by(SIGNER.verifier)
    assert read.signed_by(NEXT.verifier)
    assert read.note == signed(CHECKPOINT, [SIGNER, NEXT])


def test_a_verifier_key_has_the_form_that_go_writes() -> None:
    assert str(VerifierKey.read(PUBLISHED_KEY)) == PUBLISHED_KEY
    assert VerifierKey.read(str(SIGNER.verifier)) == SIGNER.verifier


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+c74f20a3", PUBLISHED_KEY.replace("c7", "c8"), PUBLISHED_KEY.replace("Peter", "Pieter"),
     PUBLISHED_KEY[:-4], "a b" + PUBLISHED_KEY],
)  # fmt: skip
def test_a_mistyped_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        VerifierKey.read(text)


def test_a_checkpoint_of_another_key_is_not_signed() -> None:
    assert not SignedCheckpoint.read(signed(CHECKPOINT, [SIGNER])).signed_by(NEXT.verifier)


def test_a_signature_that_is_not_true_is_no_missing_one() -> None:
    note = signed(CHECKPOINT, [SIGNER]).replace("\n17\n", "\n18\n")
    with pytest.raises(InvalidInputError, match="not true"):
        SignedCheckpoint.read(note).signed_by(SIGNER.verifier)


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n\n", "\n"), ("17", "017"), ("17", "-1"), ("17", "1e3"), ("\u2014 ", "- "), (ORIGIN + "\n17", "17"),
     (base64.b64encode(CHECKPOINT.root).decode(), "AAAA"), ("=\n", "=")],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(old: str, new: str) -> None:
    note = signed(CHECKPOINT, [SIGNER])
    with pytest.raises(InvalidInputError):
        SignedCheckpoint.read(note.replace(old, new))


def test_a_witness_s_signature_is_over_its_time_too() -> None:
    witness = Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)
    key = VerifierKey("witness.example/w1", witness.public_key().public_bytes_raw(), COSIGNATURE)
    note = SignedCheckpoint.read(signed(CHECKPOINT, [SIGNER]))

    def line(stated: int, signed_at: int) -> str:
        signature = witness.sign(f"cosignature/v1\ntime {signed_at}\n{note.text}".encode())
        blob = key.key_id + stated.to_bytes(8, "big") + signature
        return f"\u2014 {key.name} {base64.b64encode(blob).decode()}\n"

    assert SignedCheckpoint.read(note.with_lines([line(1_700_000_000, 1_700_000_000)])).signed_by(key)
    with pytest.raises(InvalidInputError, match="not true"):
        SignedCheckpoint.read(note.with_lines([line(1_700_000_001, 1_700_000_000)])).signed_by(key)
