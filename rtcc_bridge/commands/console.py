"""What every command shares: the console, the progress bar, exit codes and errors that say what to do."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rtcc_bridge.commands.command_deeds import require_operator
from rtcc_bridge.errors import BridgeError, ConfigurationError, IntegrityError, RejectedError, TransientError
from rtcc_bridge.matching.errors import MatchingError

EXIT_FAILED = 1  # 2 is click's own for wrong arguments
EXIT_CONFIGURATION = 3
EXIT_REJECTED = 4
EXIT_UNAVAILABLE = 5
EXIT_INTEGRITY = 6

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed or partly done, 2 wrong arguments, 3 settings to correct, 4 refused, "
    "5 a dependency does not answer, 6 integrity."
)

Arguments = ParamSpec("Arguments")

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigurationError, EXIT_CONFIGURATION),
    (RejectedError, EXIT_REJECTED),
    (TransientError, EXIT_UNAVAILABLE),
    (IntegrityError, EXIT_INTEGRITY),
    (BridgeError, EXIT_FAILED),
    (MatchingError, EXIT_FAILED),
)


def tells_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Runs the command if the operator may (P10); the program's own errors become a message and an exit code.

    Anything else is a defect and keeps its trace.
    """

    @wraps(command)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            require_operator()
            command(*args, **kwargs)
        except (BridgeError, MatchingError) as error:
            if isinstance(error, ConfigurationError):
                for problem in error.problems:
                    click.echo(f"{problem.path}: {problem.cause}\n    {problem.remedy}", err=True)
            else:
                click.echo(f"error: {error}", err=True)
            sys.exit(next(code for kind, code in _CODES if isinstance(error, kind)))

    return wrapped


class ProgressBar:
    """A bar on the terminal, or a line every tenth of the way where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self._task: TaskID | None = None
        self._printed = (-1, "")

    @contextmanager
    def shown(self) -> Iterator["ProgressBar"]:
        if not self._console.is_terminal:
            yield self
            return
        with self._progress:
            yield self

    def __call__(self, what: str, done: int, total: int) -> None:
        """Says how far it is; may be called from a thread."""
        if not self._console.is_terminal:
            self._print_line(what, done, total)
            return
        if self._task is None:
            self._task = self._progress.add_task(what, total=total)
        self._progress.update(self._task, description=what, completed=done, total=total)

    def _print_line(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if (tenth, what) != self._printed:
            self._printed = (tenth, what)
            self._console.print(f"  {what}: {done} of {total}", highlight=False)
