"""A folder of pictures of known people: one folder a person, and a table of groups if there is one."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rtcc_bridge.errors import InvalidInputError

_PERSON = "person"


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """person: the name of the folder."""

    person: str
    path: Path


def labelled_files(folder: Path) -> list[LabelledFile]:
    """Every file of every person, by name; hidden files and folders are left out. Blocks.

    Raises InvalidInputError when there are not at least two people.
    """
    try:
        people = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry))
        found = [
            LabelledFile(person.name, file)
            for person in people
            for file in sorted(person.iterdir())
            if file.is_file() and not _is_hidden(file)
        ]
    except OSError as error:
        raise InvalidInputError(f"{error.filename} cannot be read: {error.strerror}") from error
    if len({file.person for file in found}) < 2:
        raise InvalidInputError(
            f"{folder} has to hold one folder for each person with the person's pictures, of at least two people"
        )
    return found


def read_groups(table: Path, people: set[str]) -> Mapping[str, Mapping[str, str]]:
    """By attribute the value of each person, from a CSV file: a column `person`, further columns are attributes.

    The program never infers such a value. Blocks. Raises InvalidInputError when the file is not such a table or names
    a person who is not in the folder: a misspelt name would quietly thin a group out.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{table} cannot be read: {error}") from error
    attributes = [name for name in columns if name != _PERSON]
    if _PERSON not in columns or not attributes or not all(attributes):
        raise InvalidInputError(
            f"{table} needs a column {_PERSON} and at least one column with a group, each with a name"
        )
    for line, row in enumerate(rows, start=2):
        _require_row(table, line, row, people)
    if len({row[_PERSON] for row in rows}) < len(rows):
        raise InvalidInputError(f"{table} names a person twice")
    return {
        attribute: {row[_PERSON]: row[attribute].strip() for row in rows if row[attribute].strip()}
        for attribute in attributes
    }


def _require_row(table: Path, line: int, row: Mapping[str | None, str | None], people: set[str]) -> None:
    if None in row or None in row.values():
        raise InvalidInputError(f"{table}, line {line}: not as many columns as the first line has")
    if row[_PERSON] not in people:
        raise InvalidInputError(f"{table}, line {line}: there is no folder {row[_PERSON]!r}")


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
