"""The list of what an enrolment left out, for the person who has to see to it."""

import csv
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.set_aside import Reason


@dataclass(frozen=True, slots=True)
class SetAsideImage:
    """One image that was left out, as its source names it."""

    image: str
    subject_ref: str
    reason: Reason
    detail: str


class EnrollReport:
    """A CSV file that only its owner may read, since it names people. Without a path nothing is written. Blocks."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self._rows: Any = None
        self._flush: Any = None

    def __enter__(self) -> Self:
        """Raises InvalidInputError when the file cannot be written."""
        if self._path is not None:
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                opened = self._stack.enter_context(
                    os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")
                )
            except OSError as error:
                raise InvalidInputError(f"the report {self._path} cannot be written: {error.strerror}") from error
            self._rows, self._flush = csv.writer(opened), opened.flush
            self._rows.writerow(("image", "subject_ref", "reason", "detail"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, images: Sequence[SetAsideImage]) -> None:
        """Adds lines; images that an earlier run enrolled are not listed."""
        if self._rows is None:
            return
        for image in images:
            if image.reason is not Reason.ALREADY_ENROLLED:
                self._rows.writerow((image.image, image.subject_ref, image.reason.value, image.detail))
        self._flush()
