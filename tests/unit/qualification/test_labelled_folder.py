"""Folders of known people and tables of groups, good ones and bad ones."""

from pathlib import Path

import pytest

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.qualification.labelled_folder import labelled_files, read_groups


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/1.jpg", "a/1.jpg", ".cache/x.jpg", "b/.hidden", "b/deeper/3.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    return tmp_path


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_people_are_folders_and_their_files_come_in_order(folder: Path) -> None:
    found = [(file.person, file.path.name) for file in labelled_files(folder)]
    assert found == [("a", "1.jpg"), ("b", "1.jpg"), ("b", "2.jpg")]


def test_one_person_alone_is_no_sample(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="at least two people"):
        labelled_files(tmp_path)


def test_groups_by_attribute(tmp_path: Path) -> None:
    path = table(tmp_path, "person,unit,camera\na,north,x\nb,, y \n")
    assert read_groups(path, {"a", "b", "c"}) == {"unit": {"a": "north"}, "camera": {"a": "x", "b": "y"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "needs a column person"),
        ("who,unit\na,north\n", "needs a column person"),
        ("person\na\n", "at least one column"),
        ("person,\na,north\n", "each with a name"),
        ("person,unit\na\n", "line 2: not as many columns"),
        ("person,unit\na,north,more\n", "line 2: not as many columns"),
        ("person,unit\nz,north\n", "line 2: there is no folder 'z'"),
        ("person,unit\na,north\na,south\n", "names a person twice"),
    ],
)
def test_a_table_with_a_fault_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        read_groups(table(tmp_path, text), {"a", "b"})


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"gone\.csv cannot be read"):
        read_groups(tmp_path / "gone.csv", {"a"})
