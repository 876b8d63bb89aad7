"""An evaluation as a JSON object, as a table and as a page."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from rtcc_bridge.matching.evaluation import RANKS
from rtcc_bridge.qualification.evaluation_page import page
from rtcc_bridge.qualification.evaluation_run import EvaluationRun, as_document
from rtcc_bridge.qualification.evaluation_text import text_lines
from tests.unit.qualification.evaluations import evaluation_run


@pytest.fixture(scope="module")
def run() -> EvaluationRun:
    return evaluation_run(600, groups=("north", "south & east"))


@pytest.fixture(scope="module")
def small_run() -> EvaluationRun:
    return evaluation_run(12, source="a <b>small</b> sample")


def test_the_object_holds_what_others_read(run: EvaluationRun) -> None:
    document = json.loads(json.dumps(as_document(run)))
    assert (document["mated"], document["nonmated"], document["failure_to_detect"]) == (200, 800, 0)
    assert (document["template_bytes"], document["ms_per_template"]) == (128, 41.5)
    for rank in RANKS:
        low, high = document["intervals"][f"fnir_rank{rank}"]
        assert 0 <= low <= document[f"fnir_rank{rank}"] <= high <= 1
    assert 0 < document["fnir_at_fpir_0.03"] < 1
    assert document["fnir_at_fpir_0.01"] == document["fnir_at_fpir_0.003"] == "not measurable"
    assert "there are 800 of 400" in document["not_measurable"]["fnir_at_fpir_0.01"]
    assert document["thresholds"].keys() == {"0.1", "0.03"}
    assert document["reference_fpir"] == 0.03
    assert [part["label"] for part in document["groups"]["unit"]] == ["north", "south & east"]
    assert len(document["det"]["fpir"]) == len(document["det"]["high"]) > 10


def test_too_small_a_sample_says_so_everywhere(small_run: EvaluationRun) -> None:
    document = as_document(small_run)
    assert document["det"] is None
    assert document["fnir_at_fpir_0.1"] == "not measurable"
    assert all(part["mated"] is None for part in document["quality"])
    assert all(part["fpir"] == "not measurable" for part in document["quality"])
    text = "\n".join(text_lines(small_run))
    assert "FNIR at FPIR 0.1      not measurable" in text
    assert "<20 people" in text
    assert "<svg" not in page(small_run)


def test_the_table_says_what_the_object_says(run: EvaluationRun) -> None:
    document, text = as_document(run), "\n".join(text_lines(run))
    low, high = document["intervals"]["fnir_rank1"]
    assert f"FNIR at rank 1        {document['fnir_rank1']:.3f} ({low:.3f} to {high:.3f})" in text
    assert "3 pictures without a template: no face was found" in text
    assert "by unit (threshold of FPIR 0.03 overall)" in text
    assert "128 bytes and 41.5 ms" in text


class _Page(HTMLParser):
    """What a browser would load or follow, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(run: EvaluationRun) -> None:
    made = page(run)
    parser = _Page()
    parser.feed(made)
    assert (parser.addresses, parser.scripts, parser.open) == ([], 0, [])
    assert "http" not in made
    assert "@import" not in made
    assert "url(" not in made


def test_the_page_shows_the_figures_and_plots_them(run: EvaluationRun) -> None:
    made = page(run)
    document = as_document(run)
    assert f"{document['fnir_rank1']:.3f} (" in made
    assert "south &amp; east" in made
    plots = [ET.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>") for part in made.split("<svg")[1:]]
    assert len(plots) == 5
    curve = plots[0].find("polyline")
    assert curve is not None
    points = [tuple(map(float, point.split(","))) for point in curve.attrib["points"].split()]
    assert len(points) == len(document["det"]["fpir"])
    assert points == sorted(points), "FPIR grows to the right"
    assert [y for _, y in points] == sorted(y for _, y in points), "and FNIR falls with it"


def test_what_others_name_is_no_markup(small_run: EvaluationRun) -> None:
    assert "<b>small" not in page(small_run)
    assert "&lt;b&gt;small" in page(small_run)
