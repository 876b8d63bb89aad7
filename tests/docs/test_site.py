"""The documents' site builds without a warning, no link of it leads nowhere, and nothing is loaded from elsewhere."""

from pathlib import Path

import pytest
import yaml

from scripts.check_site import problems
from scripts.site_navigation import filled
from tests.docs.site_build import build_site

ROOT = Path(__file__).resolve().parents[2]


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert list(problems(site)) == []


def test_every_page_is_in_the_site_and_in_its_search(site: Path) -> None:
    searched = (site / "search/search_index.json").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        path = page.relative_to(ROOT / "docs").with_suffix("")
        folder = path.parent if path.name in {"index", "README"} else path
        assert (site / folder / "index.html").is_file(), page
        assert folder == Path() or f'"location":"{folder}/"' in searched, page


def test_a_browser_is_told_to_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "Content-Security-Policy" in page.read_text(encoding="utf-8"), page


GOOD = '<h1 id="top">A</h1><a href="#top"></a><a href="below/#there"></a><a href="https://elsewhere.example/"></a>'


@pytest.fixture
def small_site(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "below/index.html").write_text('<h2 id="there">B</h2><a href="..">A</a><img src="../picture.svg">')
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "page.css").write_text("a { background: url('picture.svg') }")
    assert list(problems(tmp_path)) == []
    return tmp_path


@pytest.mark.parametrize(
    ("file", "added", "said"),
    [
        ("index.html", '<a href="gone/">', "leads nowhere"),
        ("index.html", '<a href="below/#gone">', "names an anchor"),
        ("index.html", '<a href="../../etc/passwd">', "leads nowhere"),
        ("below/index.html", '<script src="https://cdn.example/x.js"></script>', "from elsewhere"),
        ("below/index.html", '<link rel="stylesheet" href="//fonts.example/x.css">', "from elsewhere"),
        ("below/index.html", '<img src="gone.png">', "is not there"),
        ("page.css", "@import 'https://fonts.example/x.css';", "from elsewhere"),
    ],
)
def test_what_is_wrong_with_a_site_is_seen(small_site: Path, file: str, added: str, said: str) -> None:
    with (small_site / file).open("a") as page:
        page.write(added)
    assert [said in problem for problem in problems(small_site)] == [True]


def test_the_navigation_holds_the_pages_that_are_there_each_once(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    for page in ("index.md", "extra.md", "runbooks/B.md", "runbooks/A.md", "runbooks/README.md"):
        (tmp_path / page).touch()
    wanted = [
        {"Start": ["index.md", "not-there.md"]},
        {"Empty": ["not-there-either.md"]},
        {"Runbooks": ["runbooks/README.md", "runbooks/*.md"]},
        {"More": ["*.md"]},
    ]
    assert filled(wanted, tmp_path) == [
        {"Start": ["index.md"]},
        {"Runbooks": ["runbooks/README.md", "runbooks/A.md", "runbooks/B.md"]},
        {"More": ["extra.md"]},
    ]


def test_a_page_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    """As it would not with --quiet, which silences the warnings that --strict counts."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("[gone](gone.md)\n")
    settings |= {"docs_dir": str(tmp_path / "docs"), "hooks": [str(ROOT / one) for one in settings["hooks"]]}
    settings["theme"]["custom_dir"] = str(ROOT / settings["theme"]["custom_dir"])
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    built = build_site(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert built.returncode != 0
    assert "gone.md" in built.stderr
