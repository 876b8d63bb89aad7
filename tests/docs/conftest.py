"""What the tests of the documents share."""

from pathlib import Path

import pytest

from tests.docs.site_build import ROOT, build_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents' site."""
    folder = tmp_path_factory.mktemp("site")
    built = build_site(ROOT / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder
