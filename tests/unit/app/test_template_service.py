"""Whether Milvus can be asked is told before anything is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.app.template_service import template_service_for, template_service_problems, template_service_version
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.milvus.templates import MilvusTemplates
from rtcc_bridge.milvus_settings import MilvusSettings
from rtcc_bridge.settings import load_settings
from tests.gallery_kit import PACK
from tests.milvus_kit import milvus_settings

ROOT = Path(__file__).resolve().parents[3]
WANTED = {"uri": "https://milvus.example:19530", "plain_templates": "accepted"}


def test_without_an_address_the_matcher_keeps_the_templates() -> None:
    settings = load_settings(ROOT / "config/demo.yaml").matching.milvus
    assert template_service_for(settings, "city", PACK) is None


def test_with_an_address_milvus_keeps_them_and_nothing_is_connected_yet() -> None:
    settings = load_settings(ROOT / "config/demo.yaml", matching={"milvus": WANTED}).matching.milvus
    assert isinstance(template_service_for(settings, "city", PACK), MilvusTemplates)


@pytest.mark.parametrize("missing", ["pymilvus", "grpc"])
def test_a_missing_extra_is_told(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("client", "search", "templates"):
        monkeypatch.delitem(sys.modules, f"rtcc_bridge.milvus.{module}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    settings = load_settings(ROOT / "config/demo.yaml", matching={"milvus": WANTED})
    told = [problem for problem in start_problems(settings) if problem.path == "matching.milvus.uri"]
    assert [problem.remedy for problem in told] == ["pip install 'rtcc-bridge[milvus]', or leave the address out"]
    with pytest.raises(ConfigurationError, match=f"{missing} is missing"):
        template_service_for(settings.matching.milvus, "city", PACK)


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    settings = MilvusSettings.model_validate(WANTED | {"ca_file": tmp_path / "ca.pem"})
    assert [problem.path for problem in template_service_problems(settings)] == ["matching.milvus.ca_file"]


@pytest.mark.parametrize(
    ("milvus", "path", "said"),
    [
        ({"uri": "https://milvus.example:19530"}, "matching.milvus", "plain_templates: accepted"),
        (WANTED | {"uri": "http://milvus.example:19530"}, "matching.milvus.uri", "pattern"),
        (WANTED | {"uri": "https://root:hush@milvus.example"}, "matching.milvus.uri", "pattern"),
        (WANTED | {"index": "HNSW"}, "matching.milvus.index", "GPU_BRUTE_FORCE"),
        (WANTED | {"timeout_seconds": 0}, "matching.milvus.timeout_seconds", "greater than 0"),
    ],
)
def test_what_the_settings_refuse(milvus: dict[str, object], path: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(None, matching={"milvus": milvus})
    (problem,) = raised.value.problems
    assert problem.path == path
    assert said in str(problem)
    assert "hush" not in str(problem)


def test_without_milvus_the_daemon_does_not_import_it() -> None:
    """In a process of its own: this one has imported it."""
    program = (
        "import sys\n"
        "import rtcc_bridge.commands.serve\n"
        "from rtcc_bridge.app.template_service import template_service_problems\n"
        "from rtcc_bridge.milvus_settings import MilvusSettings\n"
        "assert not list(template_service_problems(MilvusSettings()))\n"
        "print(sorted(name for name in sys.modules if name.startswith(('pymilvus', 'grpc'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_config_asks_milvus(tmp_path: Path) -> None:
    assert template_service_version(milvus_settings(tmp_path / "lite.db"))
    with pytest.raises(ConfigurationError, match="no file"):
        template_service_version(MilvusSettings.model_validate(WANTED | {"ca_file": tmp_path / "ca.pem"}))
