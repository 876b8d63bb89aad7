"""The tests of the chart need Helm, which scripts/helm builds. Without it they are left out, and it is said why."""

import pytest

from tests.chart.rendering import HelmMissingError, helm
from tests.tools import is_missing


@pytest.fixture(scope="session", autouse=True)
def _helm() -> None:
    try:
        done = helm("version", "--short")
    except HelmMissingError as error:
        is_missing(str(error))
    assert done.returncode == 0, done.stderr
