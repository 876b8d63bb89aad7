"""Measures the search and writes docs/benchmarks.md and docs/search.svg: `make bench`, half an hour.

    python -m bench.report [--quick]

Each run is a process of its own, so that one's memory is not the other's.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure

from bench.machine import machine

DOCS = Path(__file__).resolve().parents[1] / "docs"
Line: TypeAlias = dict[str, Any]

PEERS = {
    "faiss": "FAISS `IndexFlatIP`",
    "usearch": "USearch, exact",
    "onnxruntime": "ONNX Runtime, float32 and TopK",
    "numpy": "NumPy, float32",
}


@dataclass(frozen=True)
class Run:
    templates: int
    length: int
    data: str
    batches: str
    peers: bool

    @property
    def arguments(self) -> list[str]:
        peers = [] if self.peers else ["--peers", ""]
        size = ["--templates", str(self.templates), "--length", str(self.length)]
        return [*size, "--data", self.data, "--batch", self.batches, *peers, "--json"]

    def lines(self) -> list[Line]:
        """What it printed last, by batch. Blocks for minutes."""
        command = [sys.executable, "-m", "bench.search", *self.arguments]
        print("$ python -m bench.search", *self.arguments, flush=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=DOCS.parent) as process:
            assert process.stdout is not None
            last = ""
            for last in process.stdout:
                print(last, end="", flush=True)
        if process.returncode:
            sys.exit(f"it ended with {process.returncode}")
        return list(json.loads(last).values())


def runs(*, quick: bool) -> dict[str, list[Run]]:
    """What is measured, for each table."""
    unit = 10_000 if quick else 1_000_000
    return {
        "sizes": [
            Run(unit // 10, 512, "random", "1,8,64", peers=True),
            Run(unit, 512, "random", "1,8,64", peers=True),
            Run(unit * 4, 512, "random", "1,64", peers=False),
        ],
        "data": [Run(unit // 10, 512, kind, "1,64", peers=False) for kind in ("clustered", "duplicated")]
        + [Run(unit // 10, 128, "fitted", "1,64", peers=False)],
    }


def peers_table(lines: list[Line]) -> str:
    shown = [line for line in lines if "faiss_ms" in line]
    heads = ["templates", "batch", "this search, ms", *(f"{name}, ms" for name in PEERS.values()), "times FAISS"]
    rows = [
        [
            f"{line['templates']:,}",
            line["batch"],
            f"**{line['ours_ms']:,}**",
            *(f"{line[f'{name}_ms']:,}" for name in PEERS),
            line["ratio_faiss"],
        ]
        for line in shown
    ]
    return _table(heads, rows)


def losses(lines: list[Line]) -> str:
    """Where a peer was faster, in a sentence."""
    lost = []
    for line in lines:
        for name, label in PEERS.items():
            if line.get(f"{name}_ms", line["ours_ms"]) < line["ours_ms"]:
                times = line["ours_ms"] / line[f"{name}_ms"]
                lost.append(
                    f"{line['templates']:,} templates, batch {line['batch']}: {label} is {times:.1f} times as fast"
                )
    return "Where it loses: " + ("; ".join(lost) or "nowhere in this table") + "."


def proof_table(lines: list[Line]) -> str:
    heads = [
        "data",
        "templates",
        "batch",
        "ms",
        "with a twentieth removed, ms",
        "share of the time that is the bare int8 product",
        "share that reading the scanned bytes takes",
        "survivors a probe",
        "widenings",
        "bytes a template",
        "equal to the truth",
    ]
    rows = [
        [
            f"{line['data']}, {line['length']} numbers",
            f"{line['templates']:,}",
            line["batch"],
            f"{line['ours_ms']:,}",
            f"{line['masked_ms']:,}",
            f"{line['gemm_fraction']:.0%}",
            f"{line['bandwidth_fraction']:.0%}",
            f"{line['survivors']:,.0f}",
            line["widenings"],
            f"{line['bytes_per_template']:,.0f}",
            "yes" if line["identical"] else "**no**",
        ]
        for line in lines
    ]
    return _table(heads, rows)


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def plot(lines: list[Line], file: Path) -> None:
    figure = Figure(figsize=(8, 4), layout="constrained")
    batches = sorted({line["batch"] for line in lines})
    for axes, batch in zip(figure.subplots(1, len(batches), sharey=True), batches, strict=True):
        own = [line for line in lines if line["batch"] == batch]
        axes.plot([line["templates"] for line in own], [line["ours_ms"] for line in own], "o-", label="this search")
        for name, label in PEERS.items():
            measured = [line for line in own if f"{name}_ms" in line]
            axes.plot(
                [line["templates"] for line in measured],
                [line[f"{name}_ms"] for line in measured],
                "s--",
                label=label.replace("`", ""),
            )
        axes.set(xscale="log", yscale="log", xlabel="templates of 512 numbers", title=f"batch {batch}")
    figure.axes[0].set(ylabel="milliseconds")
    figure.axes[0].legend(fontsize="x-small")
    figure.savefig(file, metadata={"Date": None})


PAGE = """\
# Benchmarks of the search

{machine}. Two threads, the best 50 people, medians of five interleaved runs. Made by `make bench`; `python -m
bench.search --help` says how one of them is repeated. The search is exact, and so are the others in what they compute
in float32, but only this one says so of the stored templates, knows of people and their several photos, and leaves
removed images out.

{peers}

{losses}

![Milliseconds by size of the gallery](search.svg)

How near that is to what the machine can do, and what the proof costs. *Survivors* are the rows that got an exact
score; *widenings* the probes for which more of them had to be scored on the way. *Equal to the truth* compares every
list with one made from float64 scores of all rows. *fitted* are strangers as the default model pack sees them, 128
numbers with the mean and covariance of real descriptors.

{proof}

A matcher keeps the templates, ids and order of persons in memory; a peer's float32 array alone takes 2,048 bytes a
template of 512 numbers. Which kernel multiplies is measured at the first search of each batch size ([decision
27](decisions/0027-an-int8-scan-that-drops-only-by-proof.md)).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the sizes; writes nothing")
    quick = parser.parse_args().quick
    found = {table: [line for run in some for line in run.lines()] for table, some in runs(quick=quick).items()}
    page = PAGE.format(
        machine=machine(),
        peers=peers_table(found["sizes"]),
        losses=losses(found["sizes"]),
        proof=proof_table(found["sizes"] + found["data"]),
    )
    if quick:
        print(page)
        return
    (DOCS / "benchmarks.md").write_text(page, encoding="utf-8")
    plot(found["sizes"], DOCS / "search.svg")


if __name__ == "__main__":
    main()
