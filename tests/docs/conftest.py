"""What the tests of the documents share."""

from pathlib import Path

import pytest

from tests.docs.site_build import ROOT, build_site
from tests.shared_folders import made_once


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents' site."""

    def build(folder: Path) -> None:
        built = build_site(ROOT / "mkdocs.yml", folder)
        assert built.returncode == 0, built.stderr

    return made_once(tmp_path_factory, "site", build)
