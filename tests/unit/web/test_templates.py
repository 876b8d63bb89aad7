"""The templates and the scripts: nothing in them can turn text into markup, and all that they name exists."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

import rtcc_bridge.web
from rtcc_bridge.web.cards import IncidentCard, LeadCard
from rtcc_bridge.web.templating import page_templates
from rtcc_bridge.web.views import ThreatView
from scripts.browser_libraries import FILES
from scripts.browser_libraries import TARGET as LIBRARIES
from tests.nasty_texts import NASTY_TEXTS

WEB = Path(rtcc_bridge.web.__file__).parent
PACKAGE = WEB.parent
MARKDOWN = re.compile(r"`|\*\*|__|\]\(|^\s*[#>*-] ")
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
SCRIPTS = sorted((WEB / "static").glob("*.js"))
STYLES = sorted((WEB / "static").glob("*.css"))
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CATALOGUE = WEB / "static/texts.js"
COMMENTS = re.compile(r"/\*.*?\*/|(?<!\S)//\s[^\n]*", re.DOTALL)
LITERALS = re.compile(r'"([^"\n]*)"|`([^`]*)`')
SAYS = re.compile(r"[^\w$]*[A-Z][a-z]|.*\$\{[^}]*\} [a-z]")
"""A text that begins like a sentence, or goes on after a value."""
NO_WORDS = {
    "Accept", "ArrowDown", "ArrowLeft", "ArrowRight", "ArrowUp", "AudioContext", "Content-Disposition", "Content-Type",
    "Enter", "Escape", "Last-Event-ID",
}  # fmt: skip
"""Names of keys, of headers and of what a browser has."""
FORBIDDEN_IN_SCRIPTS = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    "DOMParser",
)


class Seen(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(nasty: str) -> Seen:
    threat = ThreatView(
        identifier=nasty, event=nasty, severity=nasty, urgency=nasty, headline=nasty, expires=NOW, imminent=True
    )
    incident = IncidentCard(
        key=nasty, level="imminent", title=nasty, code=nasty, place=nasty, priority=1, status="open", exercise=True,
        opened_at=NOW, threats=(threat,), alarm=nasty,
    )  # fmt: skip
    lead = LeadCard(
        key=nasty, state="unreviewed", state_words=nasty, result=nasty, detail=nasty, incident_id=nasty,
        incident_title=None, place=nasty, probe_id=nasty, live=True, taken=False, exercise=True, approve_by=NOW,
        created_at=NOW, announcement=nasty, is_own=True, to_examine=True,
    )  # fmt: skip
    pieces = page_templates().get_template("pieces.html").module
    seen = Seen()
    written = (
        pieces.incident_card(incident),  # type: ignore[attr-defined]  # macros of the template
        pieces.lead_card(lead, analyst=True, supervisor=True),  # type: ignore[attr-defined]
        pieces.refusal(nasty, nasty),  # type: ignore[attr-defined]
    )
    seen.feed("".join(map(str, written)))
    return seen


@pytest.mark.parametrize("nasty", NASTY_TEXTS)
def test_text_from_outside_makes_no_tag_and_no_attribute(nasty: str) -> None:
    plain, seen = rendered("plain"), rendered(nasty)
    assert seen.tags == plain.tags
    assert [name for name, _ in seen.attributes] == [name for name, _ in plain.attributes]
    assert nasty.replace("\r\n", "\n") in seen.text.replace("\r\n", "\n")


@pytest.mark.parametrize("nasty", NASTY_TEXTS)
def test_links_stay_on_this_site_in_one_segment(nasty: str) -> None:
    links = [value or "" for name, value in rendered(nasty).attributes if name in {"href", "data-post"}]
    assert links
    for link in links:
        assert re.fullmatch(r"/(api/v1/leads|incidents|leads|examine|probes)/[A-Za-z0-9%_.~-]+(/acknowledge)?", link)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_escape_everything_and_hold_nothing_inline(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape|Markup", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert re.findall(r"<script(?! type=\"module\" src=\"/static/)", text) == []
    assert "://" not in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_never_make_markup_of_text_and_know_no_other_address(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert [word for word in FORBIDDEN_IN_SCRIPTS if word in text] == []
    assert "://" not in text


@pytest.mark.parametrize("style", STYLES, ids=lambda path: path.name)
def test_styles_load_nothing(style: Path) -> None:
    text = style.read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text


def test_every_static_file_is_named_and_every_named_one_exists() -> None:
    named = {
        name
        for path in (*TEMPLATES, *SCRIPTS)
        for name in re.findall(r"/static/([\w.]+)", path.read_text(encoding="utf-8"))
    }
    assert named == {path.name for path in (WEB / "static").iterdir()} | {LIBRARIES.name}
    used = {name for path in SCRIPTS for name in re.findall(r"/static/libraries/([\w.]+)", path.read_text("utf-8"))}
    assert used == {name for name in FILES if name.endswith(".js")}


def test_what_scripts_say_stands_in_one_catalogue_and_all_of_it_is_said() -> None:
    code = {file.name: COMMENTS.sub("", file.read_text(encoding="utf-8")) for file in SCRIPTS if file != CATALOGUE}
    literals = {text for source in code.values() for pair in LITERALS.findall(source) for text in pair}
    assert {text for text in literals if SAYS.match(text)} == NO_WORDS
    offered = set(re.findall(r"^  (\w+):", CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE))
    assert offered == {name for source in code.values() for name in re.findall(r"\bTEXTS\.(\w+)", source)}


@pytest.mark.parametrize(
    ("end", "day"),
    [
        (datetime(2027, 2, 1, tzinfo=UTC), "2027-01-31"),  # a retention date is the day at whose end an image goes
        (datetime(2027, 2, 1, 0, 0, 1, tzinfo=UTC), "2027-02-01"),
        (datetime(2027, 2, 1, 12, tzinfo=UTC), "2027-02-01"),
    ],
)
def test_the_last_day_of_what_ends_at_midnight_is_the_one_before(end: datetime, day: str) -> None:
    assert page_templates().from_string("{{ end|last_day }}").render(end=end) == day


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Run `rtcc-bridge db upgrade`, then `serve`.",
            "Run <code>rtcc-bridge db upgrade</code>, then <code>serve</code>.",
        ),
        ("`<b>` & a \u200f`", "<code>&lt;b&gt;</code> &amp; a \u200f`"),
    ],
)
def test_what_a_sentence_has_between_backticks_is_code_and_nothing_in_it_is_markup(said: str, shown: str) -> None:
    assert page_templates().from_string("{{ said|sentence }}").render(said=said) == shown


def test_no_sentence_of_an_error_has_a_sign_that_a_page_would_show_as_it_is() -> None:
    """Backticks come in pairs, which pages show as code; of Markdown there is nothing else in it."""
    sentences = [text for file in PACKAGE.rglob("*.py") for text in sentences_of_errors(file)]
    assert len(sentences) > 500
    shown = page_templates().from_string("{{ said|sentence }}")
    assert [one for one in sentences if MARKDOWN.search(shown.render(said=one))] == []


def sentences_of_errors(file: Path) -> Iterator[str]:
    """The texts that stand in calls which make an error, with a word in the place of each value."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "ConfigurationProblem")):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
                elif isinstance(argument, ast.JoinedStr):
                    yield "".join(
                        str(one.value) if isinstance(one, ast.Constant) else "value" for one in argument.values
                    )


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_enough_contrast(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1 for every pair of text and ground that the styles use."""
    colours = theme(scheme)
    pairs = [
        *((text, ground) for text in ("text", "quiet", "link") for ground in ("ground", "panel", "raised")),
        *((text, ground) for text in ("text", "quiet") for ground in ("field", "alarm-ground", "ended-ground")),
        ("text", "warn-ground"), ("warn", "warn-ground"), ("warn", "panel"), ("warn", "raised"), ("good", "panel"),
        ("warn", "ground"), ("alarm", "panel"), ("on-alarm", "alarm"), ("on-warn", "warn"), ("on-good", "good"),
        ("on-button", "button"), ("ground", "lead"), ("ended", "ended-ground"), ("ground", "ended"),
    ]  # fmt: skip
    poor = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


def theme(scheme: str) -> dict[str, str]:
    text = (WEB / "static" / "theme.css").read_text(encoding="utf-8")
    dark, light = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    base, changes = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (dark, light))
    return base if scheme == "dark" else base | changes


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
