"""Tries the handling of a record: what may pass is tried again, with jitter, and what cannot is given up."""

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, retry_if_exception_type, wait_random_exponential

from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import BusyError, IntegrityError, RejectedError, TransientError, UnavailableError

LONGEST_PAUSE_SECONDS: Final = 10.0
RETRIES_EXHAUSTED: Final = "retries_exhausted"
FAILED: Final = "failed"

_DRIVERS_ERROR: Final = "orig"
"""Where SQLAlchemy's errors, which only `storage` may import, have the driver's."""
_DATA_EXCEPTION: Final = "22"

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record was given up. `reason` is a short fixed word for metrics and dead letters."""

    error: Exception
    reason: str
    attempts: int
    first_at: datetime
    last_at: datetime

    @property
    def message(self) -> str:
        """What the error says, fit for a log and a letter."""
        return in_words(self.error)

    @classmethod
    def at_once(cls, error: RejectedError, at: datetime) -> Self:
        """A record that was refused at its first try."""
        return cls(error, error.reason, 1, at, at)


class Attempts:
    """The tries of one record.

    An outage (UnavailableError) and back-pressure (BusyError) say nothing about the record: it is tried again until
    they pass, however long that takes, while its place in the window holds the partition back. Every other failure that
    may pass is tried `limit` times.
    """

    def __init__(self, limit: int, backoff_seconds: float, clock: Clock, record: ConsumedRecord) -> None:
        self._limit = limit
        self._pause = wait_random_exponential(multiplier=backoff_seconds, max=LONGEST_PAUSE_SECONDS)
        self._clock = clock
        self._record = record
        self._is_outage_logged = False
        self._attempts = 0
        self._own_failures = 0
        self._first_at: datetime | None = None

    async def run(self, handle: Callable[[], Awaitable[None]]) -> Failure | None:
        """None when it succeeded. Raises IntegrityError only (and CancelledError)."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass), stop=self._is_exhausted, wait=self._wait, reraise=True
        )
        try:
            await retrying(self._try, handle)
        except IntegrityError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect in one record's handling must not stop the others
            now = self._clock.now()
            return Failure(error, _reason(error), self._attempts, self._first_at or now, now)
        return None

    async def _try(self, handle: Callable[[], Awaitable[None]]) -> None:
        self._attempts += 1
        try:
            await handle()
        except Exception as error:  # counted and logged, whatever it is, and raised on
            self._first_at = self._first_at or self._clock.now()
            self._own_failures += not _is_outage(error)
            self._log_failure(error)
            raise

    def _log_failure(self, error: Exception) -> None:
        """Of an outage the first try only, since many records may wait for its end; a rejection is told later."""
        is_first = not (_is_outage(error) and self._is_outage_logged)
        self._is_outage_logged = _is_outage(error)
        if isinstance(error, RejectedError) or not is_first:
            return
        _log.warning(
            "handling a record failed",
            topic=self._record.topic,
            partition=self._record.partition,
            offset=self._record.offset,
            error=in_words(error),
            attempt=self._attempts,
            **_trace(error),
        )

    def _is_exhausted(self, _state: RetryCallState) -> bool:
        return self._own_failures >= self._limit

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        at_least = error.retry_after_seconds if isinstance(error, BusyError) else 0.0
        return max(at_least, float(self._pause(state)))


async def until_available(work: Callable[[], Awaitable[Result]], backoff_seconds: float) -> Result:
    """What the work returns, done again and again while TransientError is raised: for what must not be lost."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=backoff_seconds, max=LONGEST_PAUSE_SECONDS),
        reraise=True,
    )
    return await retrying(_awaited, work)


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()


def in_words(error: BaseException) -> str:
    """What the error says. Of a driver's error the first line, and none that quotes a value: records hold names.

    PostgreSQL tells the values of a row in its details, and of a value that is none of its type (SQLSTATE 22...) in its
    first line as well; so does asyncpg.
    """
    original = getattr(error, _DRIVERS_ERROR, None)
    if original is None:
        return str(error)
    state = getattr(original, "sqlstate", None)
    if state is not None and state.startswith(_DATA_EXCEPTION):
        return f"{type(original).__name__}: the database does not take a value (SQLSTATE {state})"
    first_line = str(error).partition("\n")[0]
    return first_line if state is None else f"{first_line} (SQLSTATE {state})"


def _trace(error: Exception) -> dict[str, Any]:
    """The way to a defect, for the log; where a driver's error is behind it without the texts, which quote values."""
    if isinstance(error, TransientError):
        return {}
    cause: BaseException | None = error
    while cause is not None:
        if hasattr(cause, _DRIVERS_ERROR):
            return {"frames": "".join(traceback.format_tb(error.__traceback__))}
        cause = cause.__cause__ or cause.__context__
    return {"exc_info": True}


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, UnavailableError | BusyError)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, RejectedError | IntegrityError)


def _reason(error: Exception) -> str:
    if isinstance(error, RejectedError):
        return error.reason
    return RETRIES_EXHAUSTED if isinstance(error, TransientError) else FAILED
