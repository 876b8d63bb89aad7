"""A witness of the tests' own, as C2SP tlog-witness describes one: it signs only what continues what it signed last."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rtcc_bridge.audit.note import COSIGNATURE, Checkpoint, SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.tree import ProofError, roots_from_consistency
from rtcc_bridge.errors import InvalidInputError

NAME = "witness.example/w1"


@dataclass
class Witness:
    """log: the verifier key of the one log that it knows. answers: the statuses that it gave."""

    log: VerifierKey | None = None
    signed: Checkpoint | None = None
    answers: list[int] = field(default_factory=list)
    url: str = ""
    says_another_time: bool = False

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(NAME, self._key.public_key().public_bytes_raw(), COSIGNATURE)

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        response = self._answer(await request.text())
        self.answers.append(response.status)
        return response

    def _answer(self, body: str) -> web.Response:
        head, _, note = body.partition("\n\n")
        stated, *proof = head.split("\n")
        try:
            older, sent = int(stated.removeprefix("old ")), SignedCheckpoint.read(note)
        except (ValueError, InvalidInputError):
            return web.Response(status=400)
        if (status := self._refused(sent)) is not None:
            return web.Response(status=status)
        known = 0 if self.signed is None else self.signed.size
        if older > sent.checkpoint.size:
            return web.Response(status=400)
        if older != known:
            return web.Response(status=409, text=f"{known}\n", content_type="text/x.tlog.size")
        if self.signed is not None and not self._continues(self.signed, sent.checkpoint, proof):
            return web.Response(status=409 if older == sent.checkpoint.size else 422)
        self.signed = sent.checkpoint
        return web.Response(text=self._cosignature(sent.text))

    def _refused(self, sent: SignedCheckpoint) -> int | None:
        if self.log is None or sent.checkpoint.origin != self.log.name:
            return 404
        try:
            return None if sent.signed_by(self.log) else 403
        except InvalidInputError:
            return 403

    def _continues(self, older: Checkpoint, newer: Checkpoint, proof: list[str]) -> bool:
        hashes = [base64.b64decode(line) for line in proof]
        try:
            roots = roots_from_consistency(older.size, older.root, newer.size, hashes)
        except ProofError:
            return False
        return roots == (older.root, newer.root)

    def _cosignature(self, text: str) -> str:
        at = 1_700_000_000
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        told = at + 1 if self.says_another_time else at
        blob = self.key.key_id + told.to_bytes(8, "big") + signature
        return f"\u2014 {NAME} {base64.b64encode(blob).decode()}\n"


@asynccontextmanager
async def running_witness() -> AsyncIterator[Witness]:
    witness = Witness()
    application = web.Application()
    application.router.add_post("/w1/add-checkpoint", witness.add_checkpoint)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _host, port = runner.addresses[0][:2]
    witness.url = f"http://127.0.0.1:{port}/w1"
    try:
        yield witness
    finally:
        await runner.cleanup()
