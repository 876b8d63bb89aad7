"""Who wraps the keys of sealed objects: the master keys of a file or the environment, or a key management service.

Each wrapped key says by which master key it was wrapped, so several can be in use while a rotation goes on.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_key import MasterKey, load_master_keys, put_new_key_first

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A wrapped object key and the public name of the master key that opens it."""

    wrapped: bytes
    master_key_id: str


class MasterKeys(Protocol):
    """Wraps and unwraps object keys. Every method may ask a file or a service, so none belongs into a transaction."""

    async def current_id(self) -> str:
        """The master key that `wrap` uses now. Raises UnavailableError."""
        ...

    async def wrap(self, object_key: bytes) -> WrappedKey:
        """Wraps a key of 32 bytes. Raises UnavailableError when the service does not answer."""
        ...

    async def unwrap(self, key: WrappedKey) -> bytes:
        """Raises IntegrityError when the wrapped key was altered, UnavailableError when the master key is not known
        here (it may be on its way: a rotation reaches one machine before another) or nobody answers.
        """
        ...

    def opens(self, master_key_id: str) -> bool:
        """Whether a master key of this name is known here; a service is not asked."""
        ...

    async def renew(self) -> str:
        """Makes a new master key, with which `wrap` goes on; the earlier ones still open. Returns its id.

        Raises ConfigurationError where only the operator can do that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Withheld:
    """In the place of master keys, where a process is not to have them. why: what whoever needs them is told."""

    why: str


class LocalMasterKeys:
    """The master keys of a file or of the environment.

    The file is read again when it has changed, so a process that runs takes over a new master key by itself. A changed
    file that cannot be used is logged once and the keys that were read before stay in use; it is tried again each time,
    since what hinders may be something else than the file: the rights of a folder, too many open files.
    """

    def __init__(self, settings: ObjectSettings, keys: tuple[MasterKey, ...], seen: "_FileState | None") -> None:
        """seen: the state of the file before the keys were read from it."""
        self._settings = settings
        self._file = settings.master_key_file
        self._keys = keys
        self._seen = seen
        self._refused: _FileState | None = None

    @classmethod
    def load(cls, settings: ObjectSettings, *, may_create: bool) -> "LocalMasterKeys":
        """Blocks. Raises ConfigurationError as `load_master_keys` does."""
        seen = _state_of(settings.master_key_file)
        return cls(settings, load_master_keys(settings, may_create), seen)

    async def current_id(self) -> str:
        return (await self._current()).key_id

    async def wrap(self, object_key: bytes) -> WrappedKey:
        current = await self._current()
        return WrappedKey(current.wrap(object_key), current.key_id)

    async def unwrap(self, key: WrappedKey) -> bytes:
        if (known := self._find(key.master_key_id)) is None:
            await self._refresh()
            known = self._find(key.master_key_id)
        if known is None:
            raise UnavailableError(
                f"master key {key.master_key_id} is not configured here, only {', '.join(k.key_id for k in self._keys)}"
                ": put it behind the first one, in its file or in objects.master_key"
            )
        return known.unwrap(key.wrapped)

    def opens(self, master_key_id: str) -> bool:
        return self._find(master_key_id) is not None

    async def renew(self) -> str:
        if self._file is None:
            cause = "a master key that comes from the environment cannot be replaced from here"
            remedy = (
                "Set a new key before it, separated by a space; restart; run `rtcc-bridge keys rotate --no-new-key`"
            )
            raise ConfigurationError(ConfigurationProblem("objects.master_key", cause, remedy))
        made = await asyncio.to_thread(put_new_key_first, self._file)
        await self._refresh()
        return made.key_id

    async def _current(self) -> MasterKey:
        await self._refresh()
        return self._keys[0]

    def _find(self, key_id: str) -> MasterKey | None:
        return next((key for key in self._keys if key.key_id == key_id), None)

    async def _refresh(self) -> None:
        now = _state_of(self._file)
        if now == self._seen:
            return
        try:
            self._keys = await asyncio.to_thread(load_master_keys, self._settings, may_create=False)
        except ConfigurationError as error:
            if now != self._refused:
                _log.error("the changed master key file cannot be used: the keys read before stay", error=str(error))
            self._refused = now
            return
        _log.info("master keys read again", current=self._keys[0].key_id, known=len(self._keys))
        self._seen, self._refused = now, None


class EarlierKeys:
    """Keys that wrap, while earlier ones still open what they wrapped: a key management service after a file's keys,
    those of galleries after the ones of all objects."""

    def __init__(self, current: MasterKeys, earlier: MasterKeys) -> None:
        self._current = current
        self._earlier = earlier

    async def current_id(self) -> str:
        return await self._current.current_id()

    async def wrap(self, object_key: bytes) -> WrappedKey:
        return await self._current.wrap(object_key)

    async def unwrap(self, key: WrappedKey) -> bytes:
        return await (self._current if self._current.opens(key.master_key_id) else self._earlier).unwrap(key)

    def opens(self, master_key_id: str) -> bool:
        return self._current.opens(master_key_id) or self._earlier.opens(master_key_id)

    async def renew(self) -> str:
        return await self._current.renew()


class _FileState(NamedTuple):
    """What changes with the content of a file, and with who may read it."""

    inode: int
    modified_ns: int
    changed_ns: int
    size_bytes: int


_ABSENT: Final = _FileState(0, 0, 0, 0)


def _state_of(file: Path | None) -> _FileState | None:
    """None where the keys are in no file. A link is followed, since mounted secrets are replaced by it."""
    if file is None:
        return None
    try:
        status = os.stat(file)  # noqa: PTH116 - Path.stat is the same with more work, and this is asked often
    except OSError:
        return _ABSENT
    return _FileState(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
