"""Logs an outage once when it begins and once when it ends, however often the work is tried in between."""

from typing import Final

import structlog

_log: Final = structlog.get_logger(__name__)


class OutageLog:
    """What one kind of work says about its outages. `work` names it in the log, e.g. "numbering"."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._is_out = False

    def failed(self, error: BaseException) -> None:
        """Logs the first failure in a row."""
        if not self._is_out:
            _log.warning("interrupted: it is tried again", work=self._work, error=str(error))
        self._is_out = True

    def succeeded(self) -> None:
        """Logs the end of an outage, if there was one."""
        if self._is_out:
            _log.info("going on after an interruption", work=self._work)
        self._is_out = False
