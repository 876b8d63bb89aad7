"""A witness (C2SP tlog-witness): somebody else's server that signs a checkpoint only if it continues the last one."""

import base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import aiohttp

from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.places import ContradictionError
from rtcc_bridge.audit.proofs import ProofReader
from rtcc_bridge.errors import InvalidInputError, UnavailableError

_MOST_ANSWER_BYTES: Final = 65_536
_SIZE_TYPE: Final = "text/x.tlog.size"
_ANSWERS_OF_A_WITNESS: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""To a request that holds no checkpoint. 404 is also what a wrong prefix gives."""


class WitnessPlace:
    """Sends the newest checkpoint with the proof that it continues the one that the witness knows."""

    name: Final = "witness"
    is_outside: Final = True
    wants_all: Final = False

    def __init__(self, url: str, key: VerifierKey, proofs: ProofReader, timeout_seconds: float) -> None:
        """url: the submission prefix. key: the witness's; an answer that it did not sign is none."""
        self._url = url
        self._key = key
        self._proofs = proofs
        self._timeout_seconds = timeout_seconds

    async def deliver(self, checkpoints: Sequence[SignedCheckpoint], acknowledged: int) -> str:
        newest = checkpoints[-1]
        status, answer, kind = await self._send(newest, acknowledged)
        if status == HTTPStatus.CONFLICT and kind == _SIZE_TYPE and answer.strip().isdecimal():
            known = int(answer)
            self._require_not_ahead(known, newest)
            status, answer, _ = await self._send(newest, known)
        if status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise ContradictionError(
                f"the witness {self._key.name} refuses the checkpoint over {newest.checkpoint.size} entries: it does "
                "not continue the one that the witness signed last"
            )
        if status != HTTPStatus.OK:
            raise UnavailableError(f"the witness {self._key.name} answered {status}")
        return self._signatures(newest, answer)

    def _require_not_ahead(self, known: int, newest: SignedCheckpoint) -> None:
        if known > newest.checkpoint.size:
            raise ContradictionError(
                f"the witness {self._key.name} has signed {known} entries of this log, and the database holds "
                f"{newest.checkpoint.size}: it was rolled back"
            )

    async def _send(self, checkpoint: SignedCheckpoint, older: int) -> tuple[int, str, str]:
        size = checkpoint.checkpoint.size
        proof = await self._proofs.consistency(older, size) if 0 < older < size else []
        lines = [f"old {older}", *(base64.b64encode(one).decode() for one in proof), "", checkpoint.note]
        return await _post(self._url, self._key, "\n".join(lines), self._timeout_seconds)

    def _signatures(self, checkpoint: SignedCheckpoint, answer: str) -> str:
        """The lines of the answer, of which one has to be the witness's and true."""
        try:
            is_signed = SignedCheckpoint.read(checkpoint.text + "\n" + answer).signed_by(self._key)
        except InvalidInputError as error:
            raise UnavailableError(f"the answer of the witness {self._key.name} cannot be used: {error}") from error
        if not is_signed:
            raise UnavailableError(f"the answer of the witness {self._key.name} is not signed by its key")
        return answer


async def ping_witness(url: str, key: VerifierKey, timeout_seconds: float) -> None:
    """Sends a request without a checkpoint, which a witness refuses, and so shows that it is one.

    Raises UnavailableError.
    """
    status, _, _ = await _post(url, key, "", timeout_seconds)
    if status not in _ANSWERS_OF_A_WITNESS:
        raise UnavailableError(f"the witness {key.name} answered {status}, as no witness does: check audit.witness_url")


async def _post(url: str, key: VerifierKey, body: str, timeout_seconds: float) -> tuple[int, str, str]:
    """Status, text and type of the answer. Raises UnavailableError."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_seconds)) as session,
            session.post(f"{url.rstrip('/')}/add-checkpoint", data=body.encode(), allow_redirects=False) as response,
        ):
            answer = await response.content.read(_MOST_ANSWER_BYTES)
            return response.status, answer.decode("utf-8", errors="replace"), response.content_type
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        cause = str(error) or type(error).__name__
        raise UnavailableError(f"the witness {key.name} does not answer: {cause}") from error
