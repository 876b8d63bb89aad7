"""What the pages tell a reader to type works as it stands there, in an empty folder or on a machine of its own."""

import os
from pathlib import Path

import pytest

from tests.docs.machines import run_in_an_empty_folder, run_on_a_machine, why_no_machine
from tests.docs.runnable import DOCS, blocks, page_before, runnable_pages, script

SERVER = DOCS / "install-server.md"
CHAINS = {page: page_before(page) for page in runnable_pages() if page != SERVER}
"""Pages that are run in a folder, and the page before each; one that another goes on from is run with that one."""


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.tansu
@pytest.mark.parametrize("page", sorted(CHAINS.keys() - set(CHAINS.values())), ids=lambda page: page.name)
def test_a_page_can_be_followed_in_an_empty_folder(page: Path, tmp_path: Path) -> None:
    before = CHAINS[page]
    folder = tmp_path / "empty"
    folder.mkdir()
    ended = run_in_an_empty_folder((script(before) if before else "") + script(page), folder)
    assert ended.code == 0, ended.printed


@pytest.mark.long
@pytest.mark.tansu
@pytest.mark.timeout(600)
def test_a_server_can_be_installed_as_the_page_says(tmp_path: Path) -> None:
    if "RTCC_TEST_BOOT" not in os.environ:
        pytest.skip("it boots systemd on an overlay of this machine: `make boot-test` runs it")
    if (reason := why_no_machine()) is not None:
        pytest.skip(f"no machine to install on: {reason}")
    ended = run_on_a_machine(script(SERVER), tmp_path)
    assert ended.code == 0, ended.printed + ended.journal
    # Under the units' limits both walls of the picture workers stand.
    assert '"seccomp": true' in ended.journal
    assert '"namespaces": ["mnt", "uts", "ipc", "net", "user"]' in ended.journal


def test_every_page_that_is_gone_on_from_can_be_run() -> None:
    assert {SERVER, DOCS / "quick-start.md", DOCS / "backup.md"} <= set(runnable_pages())
    assert set(filter(None, CHAINS.values())) <= set(CHAINS)


@pytest.mark.parametrize(
    "text", ["<!-- runnable -->\n\nno block\n", "<!-- runnable: -->\n```console\ntrue\n```\n", "<!-- file: x -->\n"]
)
def test_a_mark_that_means_nothing_is_told(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page.md, line 1"):
        blocks(page)
