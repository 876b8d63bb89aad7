"""Where enrolment takes its pictures from: a folder with one folder for each person, or a CSV manifest.

Both are read lazily, so that a million pictures take no more memory than ten.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.set_aside import Reason

COLUMNS: Final = ("image", "subject_ref", "provenance", "lawful_basis", "retain_until", "attested_adult")
ATTESTED: Final = "true"
"""What says in `attested_adult` that the person was an adult, and that no order seals or expunges the record (P06)."""
TAKEN_ON: Final = "taken_on"
"""A column that a manifest may have, and a row may leave empty."""
_OVERFLOW: Final = "\0overflow"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One picture as its source names it; nothing has been checked yet, and the dates are text.

    taken_on: empty where the source does not say when the picture was taken.
    """

    image: str
    subject_ref: str
    provenance: str
    lawful_basis: str
    retain_until: str
    attested_adult: str
    taken_on: str = ""
    problem: tuple[Reason, str] | None = None
    """Set when the row could not even be read."""


class ImageSource(Protocol):
    """A source of pictures. Everything blocks. Raises InvalidInputError when the source as a whole cannot be used."""

    @property
    def root(self) -> Path:
        """The folder that every picture has to lie in."""
        ...

    def count(self) -> int:
        """How many rows there are, for the progress bar."""
        ...

    def rows(self) -> Iterator[SourceRow]:
        """The rows, in the same order each time."""
        ...


class FolderSource:
    """A folder with one folder for each person, named by the subject reference. Dot files are skipped."""

    def __init__(
        self, root: Path, *, provenance: str, lawful_basis: str, retain_until: str, attested_adult: str
    ) -> None:
        self._root = root
        self._provenance = provenance
        self._lawful_basis = lawful_basis
        self._retain_until = retain_until
        self._attested_adult = attested_adult

    @property
    def root(self) -> Path:
        return self._root

    def count(self) -> int:
        return sum(1 for _ in self.rows())

    def rows(self) -> Iterator[SourceRow]:
        for person in self._visible(""):
            if not (self._root / person).is_dir():
                yield self._row(person, "", (Reason.NO_SUBJECT, "lies in no person's folder"))
                continue
            for name in self._visible(person):
                image = f"{person}/{name}"
                nested = (self._root / image).is_dir()
                problem = (Reason.BAD_ROW, "a folder inside a person's folder is not read") if nested else None
                yield self._row(image, person, problem)

    def _row(self, image: str, person: str, problem: tuple[Reason, str] | None) -> SourceRow:
        words = (self._provenance, self._lawful_basis, self._retain_until, self._attested_adult)
        return SourceRow(image, person, *words, problem=problem)

    def _visible(self, folder: str) -> list[str]:
        try:
            # Names are all that is asked for: a Path for each of a million pictures would cost memory for nothing.
            return sorted(name for name in os.listdir(self._root / folder) if not name.startswith("."))  # noqa: PTH208
        except OSError as error:
            raise InvalidInputError(f"the folder {self._root / folder} cannot be read: {error.strerror}") from error


class ManifestSource:
    """A CSV file in UTF-8 with the `COLUMNS`, perhaps `TAKEN_ON`; others are ignored. Paths begin in its folder."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def root(self) -> Path:
        return self._file.parent

    def count(self) -> int:
        return sum(1 for _ in self.rows())

    def rows(self) -> Iterator[SourceRow]:
        try:
            # Bytes that are no UTF-8 survive as surrogates, so that they cost one row and not the whole file.
            with self._file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
                yield from self._parse(opened)
        except OSError as error:
            raise InvalidInputError(f"the manifest {self._file} cannot be read: {error.strerror}") from error

    def _parse(self, lines: Iterable[str]) -> Iterator[SourceRow]:
        reader = csv.DictReader(lines, restkey=_OVERFLOW, restval=None, strict=True)
        try:
            missing = set(COLUMNS) - set(reader.fieldnames or ())
        except csv.Error as error:
            raise InvalidInputError(f"the manifest {self._file} is not CSV: {error}") from error
        if missing:
            raise InvalidInputError(f"the manifest {self._file} lacks the column {', '.join(sorted(missing))}")
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = (Reason.BAD_ROW, f"line {reader.line_num}: {error}")
                yield SourceRow("", "", "", "", "", "", problem=problem)
            else:
                yield _manifest_row(fields, reader.line_num)


def _manifest_row(fields: Mapping[str, str | list[str] | None], line: int) -> SourceRow:
    columns = (*COLUMNS, TAKEN_ON)
    texts = [value.strip() if isinstance(value := fields.get(column), str) else "" for column in columns]
    problem = None
    if _OVERFLOW in fields or None in fields.values():
        problem = (Reason.BAD_ROW, f"line {line} has another number of fields than the header")
    elif not all(is_text(text) for text in texts):
        problem = (Reason.BAD_ROW, f"line {line} is not UTF-8 or holds control characters")
    image, subject_ref, provenance, lawful_basis, retain_until, attested_adult, taken_on = texts
    return SourceRow(image, subject_ref, provenance, lawful_basis, retain_until, attested_adult, taken_on, problem)


def is_text(text: str) -> bool:
    """Whether there is no control character, and nothing else that could not be shown, in it."""
    return all(character.isprintable() for character in text)
