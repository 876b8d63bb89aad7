"""A pack on its way from a folder to a live gallery, by the commands that an agency types."""

import asyncio
import csv
import json
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtcc_bridge.commands.console import EXIT_FAILED, EXIT_REJECTED
from rtcc_bridge.matching.modelpack import PACK_FILE, load_pack
from rtcc_bridge.policy.policy_file import EvaluationRule
from rtcc_bridge.qualification.qualified import qualify
from tests.agency_pack import AGENCY_PACK, write_agency_pack
from tests.e2e.program import Program, start
from tests.signing_keys import KeyPair, key_pair

pytestmark = pytest.mark.timeout(240)

TO_CALIBRATE = 210
TO_EVALUATE = 36


@dataclass
class Desk:
    """Settings and packs of somebody who qualifies a pack; no daemon, no broker, no database."""

    folder: Path

    @property
    def pack(self) -> Path:
        return self.folder / "packs" / AGENCY_PACK

    async def started(self, *arguments: str, printed: Path) -> Program:
        settings = {"matching": {"packs_directory": str(self.folder / "packs"), "pack": AGENCY_PACK}}
        file = self.folder / "settings.yaml"
        file.write_text(yaml.safe_dump(settings))
        return await start([*arguments, "--config", str(file)], printed, COLUMNS="200")

    async def run(self, *arguments: str) -> tuple[int, str]:
        printed = self.folder / "printed.txt"
        printed.unlink(missing_ok=True)
        program = await self.started(*arguments, printed=printed)
        async with asyncio.timeout(120):
            return await program.wait(), printed.read_text()

    async def done(self, *arguments: str) -> str:
        code, printed = await self.run(*arguments)
        assert code == 0, printed
        return printed


@pytest.fixture
async def desk(tmp_path: Path, test_data: Path) -> Desk:
    made = Desk(tmp_path)
    source = write_agency_pack(tmp_path / "from-elsewhere", test_data / "models")
    await made.done("models", "add", str(source))
    return made


def people_with(test_data: Path, pictures: int) -> list[list[Path]]:
    folders = [sorted(folder.iterdir()) for folder in sorted((test_data / "faces").iterdir())]
    return [files[:pictures] for files in folders if len(files) >= pictures]


def laid_out(folder: Path, people: Sequence[Sequence[Path]]) -> Path:
    for number, pictures in enumerate(people):
        (folder / f"person-{number:03}").mkdir(parents=True)
        for place, picture in enumerate(pictures):
            shutil.copy(picture, folder / f"person-{number:03}" / f"{place}.jpg")
    return folder


def last_line(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


async def test_a_pack_is_calibrated_evaluated_signed_and_then_qualifies(desk: Desk, test_data: Path) -> None:
    alone = laid_out(desk.folder / "strangers", people_with(test_data, 1)[:TO_CALIBRATE])
    several = laid_out(desk.folder / "people", people_with(test_data, 3)[-TO_EVALUATE:])
    keys = key_pair(desk.folder / "keys")
    code, printed = await desk.run("models", "sign", AGENCY_PACK, "--key", str(keys.private))
    assert (code, "models calibrate" in printed) == (EXIT_REJECTED, True), printed

    printed = await desk.done("models", "calibrate", AGENCY_PACK, str(alone), "--source", "a test's")
    assert "the prediction holds" in printed
    assert re.search(r"^ +42 +0\.30 ", printed, re.MULTILINE), printed
    template_hash = load_pack(desk.pack).template_hash

    groups = desk.folder / "groups.csv"
    rows = [f"person-{number:03},{'even' if number % 2 == 0 else 'odd'}" for number in range(TO_EVALUATE)]
    groups.write_text("\n".join(["person,parity", *rows]))
    page = desk.folder / "report.html"
    arguments = ("evaluate", str(several), "--groups", str(groups), "--html", str(page), "--record", "--json")
    printed = await desk.done(*arguments, "--enrolled-share", "0.6")
    found = last_line(printed)
    assert (found["people"], found["pictures"], found["mated"], found["nonmated"]) == (36, 108, 44, 42)
    assert found["fnir_rank1"] < 0.2
    assert found["fnir_at_fpir_0.01"] == "not measurable"
    assert (found["template_bytes"], found["failure_to_detect"]) == (260, 0)
    assert found["ms_per_template"] == pytest.approx(sum(found["ms_per_stage"].values()), abs=0.01)
    assert found["ms_per_stage"].keys() == {"decode", "detect", "quality", "align", "embed"}
    assert "FNIR at rank 1 " in printed
    assert page.read_text().startswith("<!doctype html>")
    assert await desk.run("models", "verify", AGENCY_PACK, "--key", str(keys.public)) == (
        EXIT_FAILED,
        f"{AGENCY_PACK}: BAD: it is not signed\n",
    )

    assert "signed" in await desk.done("models", "sign", AGENCY_PACK, "--key", str(keys.private))
    assert "good and signed" in await desk.done("models", "verify", AGENCY_PACK, "--key", str(keys.public))
    assert "calibrated, evaluated, signed" in await desk.done("models", "list")
    assert problem_of(desk, keys) == ""
    assert load_pack(desk.pack).template_hash == template_hash
    assert len(list(desk.pack.iterdir())) == 6

    again = last_line(await desk.done(*arguments, "--enrolled-share", "0.6"))
    timed = {"ms_per_template", "ms_per_stage"}
    assert {key: again[key] for key in again.keys() - timed} == {key: found[key] for key in found.keys() - timed}
    assert problem_of(desk, keys) == "it is not signed", "what is recorded anew has to be signed anew"


def problem_of(desk: Desk, keys: KeyPair) -> str:
    generous = EvaluationRule(max_fnir_rank20=0.5, max_group_fnir_rank1=0.5, max_group_fpir=0.9)
    return qualify(load_pack(desk.pack), keys.public, generous).problem_at(datetime.now(UTC))


async def test_bad_pictures_are_told_by_reason_and_are_no_searches(desk: Desk, test_data: Path) -> None:
    people = laid_out(desk.folder / "people", people_with(test_data, 2)[:8])
    (people / "person-000" / "notes.txt").write_text("no picture")
    (people / "person-001" / "empty.jpg").touch()
    shutil.copy(min((test_data / "noface").glob("*.jpg"), key=lambda path: path.stat().st_size), people / "person-002")
    report = desk.folder / "left-out.csv"
    printed = await desk.done("evaluate", str(people), "--report", str(report), "--json")
    found = last_line(printed)
    with report.open(newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert sorted(reasons) == ["no face was found", "unreadable: not_an_image", "unreadable: not_an_image"]
    assert found["set_aside"] == {"no face was found": 1, "unreadable: not_an_image": 2}
    assert (found["pictures"], found["failure_to_detect"]) == (17, 1)
    assert found["fnir_at_fpir_0.1"] == "not measurable"


async def test_what_cannot_be_evaluated_on_is_refused_before_any_work(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "one" / "person").mkdir(parents=True)
    code, printed = await desk.run("evaluate", str(tmp_path / "one"))
    assert (code, "at least two people" in printed) == (EXIT_REJECTED, True), printed
    people = tmp_path / "two"
    for name in ("a", "b"):
        (people / name).mkdir(parents=True)
        (people / name / "1.jpg").touch()
    code, printed = await desk.run("evaluate", str(people), "--html", str(tmp_path / "gone" / "report.html"))
    assert (code, "cannot be written" in printed) == (2, True), printed
    code, printed = await desk.run("evaluate", str(people), "--pack", "default", "--record")
    assert (code, "demonstration and training" in printed) == (EXIT_REJECTED, True), printed
    code, printed = await desk.run("models", "calibrate", AGENCY_PACK, str(people))
    assert (code, "too few" in printed) == (EXIT_REJECTED, True), printed
    assert json.loads((desk.pack / PACK_FILE).read_text())["calibration"] is None


async def test_an_evaluation_can_be_interrupted(desk: Desk, test_data: Path) -> None:
    printed = desk.folder / "interrupted.txt"
    program = await desk.started("evaluate", str(test_data / "faces"), printed=printed)
    async with asyncio.timeout(60):
        while "making templates" not in (printed.read_text() if printed.exists() else ""):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
        program.send_signal(signal.SIGINT)
        assert await program.wait() == EXIT_FAILED
    assert "Aborted!" in printed.read_text()
    assert "Traceback" not in printed.read_text()


async def test_the_free_pack_asks_for_its_licences_and_takes_no_other_file(desk: Desk, test_data: Path) -> None:
    code, printed = await desk.run("models", "add", "opencv-zoo")
    assert (code, "MIT licence" in printed, "Aborted!" in printed) == (EXIT_FAILED, True, True), printed
    other = test_data / "models" / "face_detection_yunet_2026may.onnx"
    code, printed = await desk.run("models", "add", "opencv-zoo", "--accept-licence", "--detector", str(other))
    assert (code, "it is another file" in printed) == (EXIT_FAILED, True), printed
    assert [folder.name for folder in (desk.folder / "packs").iterdir()] == [AGENCY_PACK]
    code, printed = await desk.run("models", "add", str(test_data), "--accept-licence")
    assert (code, "belong to opencv-zoo" in printed) == (2, True), printed
