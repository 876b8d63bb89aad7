"""The last word on how long a shutdown may take."""

import os
import threading
from typing import Final

import structlog

EXIT_FAILED: Final = 1

_log = structlog.get_logger(__name__)


class ExitLimit:
    """Ends the process at once, `seconds` after `start`, whatever hangs by then: a task, a thread, a driver.

    What was not finished is found again by whoever takes over, as after a crash. Only for a process that ends anyway:
    there is no way to take a start back.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def start(self) -> None:
        """Starts the time; a second call changes nothing. Never blocks."""
        if not self._timer.is_alive() and not self._timer.finished.is_set():
            self._timer.start()

    def _end(self) -> None:
        _log.error("the shutdown hangs: the process ends at once", seconds=self._seconds)
        os._exit(EXIT_FAILED)
