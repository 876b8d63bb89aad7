"""The files that take long are handed out first, each as a whole."""

import pytest

from tests.brokers import KAFKA
from tests.running_order import longest_files_first

pytest_plugins = ["pytester"]

FILES = {
    "a_quick": "def test_1(): pass\n\ndef test_2(): pass",
    "b_with_a_broker": "def test_1(): pass\n\ndef test_2(broker): pass",
    "c_with_two": "def test_1(broker): pass\n\ndef test_2(broker): pass",
    "d_with_time": "import pytest\n\ndef test_1(): pass\n\n@pytest.mark.timeout(600)\ndef test_2(): pass",
    "e_of_kafka": f"import pytest\n\n@pytest.mark.{KAFKA}\ndef test_1(): pass",
    "f_quick": "def test_1(): pass\n\ndef test_2(): pass",
}


def test_what_takes_long_comes_first_and_a_file_stays_together(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\nmarkers = {KAFKA}\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(**{f"test_{name}": content for name, content in FILES.items()})
    items, _ = pytester.inline_genitems("--import-mode=importlib")
    ordered = [item.nodeid.removeprefix("test_").replace(".py::test_", " ") for item in longest_files_first(items)]
    assert ordered == [
        "d_with_time 1", "d_with_time 2",
        "e_of_kafka 1",
        "c_with_two 1", "c_with_two 2",
        "b_with_a_broker 1", "b_with_a_broker 2",
        "a_quick 1", "a_quick 2", "f_quick 1", "f_quick 2",
    ]  # fmt: skip
