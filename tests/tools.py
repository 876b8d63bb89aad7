"""Programs of this machine that tests use. Where one is missing, its tests are left out, or fail if none may be."""

import os
import shutil
from typing import Final, NoReturn

import pytest

ALL_VARIABLE: Final = "RTCC_TEST_ALL"
"""Set where everything has to be run, as continuous integration does: a test that is left out there is not noticed."""


def is_missing(what: str) -> NoReturn:
    """Leaves the present test out, or fails it. what: what is missing, and how to get it."""
    if os.environ.get(ALL_VARIABLE):
        pytest.fail(f"{what} ({ALL_VARIABLE} is set: nothing may be left out)", pytrace=False)
    pytest.skip(what)


def program(name: str, package: str) -> str:
    """Where the program is. package: Debian's that brings it. Does not return when it is missing."""
    found = shutil.which(name)
    if found is None:
        is_missing(f"no {name} here: install the package {package}")
    return found


def needs(name: str, package: str) -> pytest.MarkDecorator:
    """For a test that needs the program."""
    return pytest.mark.needs_program(name, package)


def require_programs(item: pytest.Item) -> None:
    """What `needs` said of a test."""
    for mark in item.iter_markers("needs_program"):
        program(*mark.args)
