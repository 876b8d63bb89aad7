"""Every value is described, and what is generated from the descriptions is up to date."""

import importlib.util
import json
import sys
from types import ModuleType

import pytest

from tests.chart.rendering import CHART, ROOT


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    file = ROOT / "scripts/generate_chart_reference.py"
    spec = importlib.util.spec_from_file_location("generate_chart_reference", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_generated_files_are_up_to_date(reference: ModuleType) -> None:
    for path, content in reference.documents().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: run `make docs`"


def test_a_value_without_a_comment_is_an_error(reference: ModuleType) -> None:
    with pytest.raises(reference.UndescribedError, match=r"web\.replicas is not described"):
        reference.read_values("# The web.\nweb:\n  replicas: 1\n")


def test_a_value_whose_type_nothing_tells_is_an_error(reference: ModuleType) -> None:
    with pytest.raises(reference.UndescribedError, match="nothing tells its type"):
        reference.read_values("# The web.\nweb: null\n")


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def closed(part: object, path: str) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                assert part["additionalProperties"] is False, path
            for name, child in part.items():
                closed(child, f"{path}/{name}")

    closed(schema, "")


def test_no_secret_and_no_path_can_be_set(reference: ModuleType) -> None:
    text = json.dumps(reference.settings_definitions())
    for name in ("password", "master_key", "transit_token", "client_secret", "_file", "packs_directory"):
        assert f'"{name}' not in text
        assert f'{name}"' not in text
