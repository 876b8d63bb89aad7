"""P20: the packet for a court holds everything of a lead, stands alone, and is verified without this program."""

import hashlib
import io
import json
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import update

from rtcc_bridge.audit.note import VerifierKey
from rtcc_bridge.audit.receipts import read_receipt
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.comparison import Aid, AidUse, ComparedCandidate, Opinion
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.publishing.lead_constants import NOTICE
from rtcc_bridge.reports.discovery import PacketOrder
from rtcc_bridge.reports.packet_archive import MANIFEST, SIGNATURE, Packet, write_packet
from rtcc_bridge.storage import leads, tables
from tests import tools
from tests.life_kit import ADMINISTRATOR, FIRST, PEER, SUPERVISOR, THIRD, LifeKit
from tests.probe_kit import FORM, face, policy
from tests.report_kit import COURT_ORDER, DEFENSE, ordered, report_desks, sign_log
from tests.unit.qualification.packs import paper_pack

pytestmark = tools.needs("openssl", "openssl")

ASKED = PacketOrder(reason="motion of the defense", handed_to=DEFENSE)
VERIFY = f"openssl pkeyutl -verify -pubin -inkey PUBLIC-KEY.pem -rawin -in {MANIFEST} -sigfile {SIGNATURE}".split()
CHECK = ["sha256sum", "--check", "--strict", MANIFEST]


@dataclass(frozen=True)
class Unpacked:
    """A packet in a folder, as a lawyer has it."""

    folder: Path

    def run(self, command: list[str]) -> bool:
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode == 0

    @property
    def is_whole(self) -> bool:
        """By the two commands that README.txt names."""
        readme = (self.folder / "README.txt").read_text()
        assert " ".join(VERIFY) in readme
        assert " ".join(CHECK) in readme
        return self.run(VERIFY) and self.run(CHECK)

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    @property
    def facts(self) -> Any:
        return self.json("lead-1/facts.json")

    def names(self) -> set[str]:
        return {str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()}

    def everything(self) -> str:
        """All that can be read as text."""
        files = [file for file in sorted(self.folder.rglob("*")) if file.suffix in {".json", ".html", ".txt"}]
        return "\n".join(file.read_text() for file in files)


def unpack(packet: Packet, folder: Path) -> Unpacked:
    with zipfile.ZipFile(io.BytesIO(packet.data)) as packed:
        assert all(name.startswith(f"{packet.name}/") for name in packed.namelist())
        packed.extractall(folder)
    return Unpacked(folder / packet.name)


async def packet_of(life: LifeKit, lead_id: str, folder: Path, order: PacketOrder = ASKED) -> Unpacked:
    made = await report_desks(life.kit, folder).discovery.of_lead(ADMINISTRATOR, lead_id, order)
    return unpack(made, folder / f"unpacked-{len(made.data)}-{made.manifest_sha256[:8]}")


async def test_it_is_verified_by_openssl_and_sha256sum_alone(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await sign_log(life.kit)
    assert (await packet_of(life, lead_id, tmp_path)).is_whole


@pytest.mark.parametrize("name", ["lead-1/facts.json", "lead-1/pictures/still.jpg", "README.txt", "packet.json"])
async def test_a_changed_file_is_found(life: LifeKit, tmp_path: Path, name: str) -> None:
    unpacked = await packet_of(life, await life.released(), tmp_path)
    file = unpacked.folder / name
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    assert unpacked.run(VERIFY)
    assert not unpacked.run(CHECK)
    lines = (unpacked.folder / MANIFEST).read_text().splitlines()
    now = hashlib.sha256(file.read_bytes()).hexdigest()
    changed = [f"{now}  {name}" if line.endswith(f"  {name}") else line for line in lines]
    (unpacked.folder / MANIFEST).write_text("\n".join(changed) + "\n")
    assert unpacked.run(CHECK), "whoever changes a file makes the manifest fit"
    assert not unpacked.run(VERIFY)


async def test_every_file_but_the_three_of_the_signature_stands_in_the_manifest(life: LifeKit, tmp_path: Path) -> None:
    unpacked = await packet_of(life, await life.released(), tmp_path)
    title, *lines = (unpacked.folder / MANIFEST).read_text().splitlines()
    assert title.startswith("# rtcc-bridge discovery packet 1 discovery-lead-")
    assert {line.split("  ", 1)[1] for line in lines} == unpacked.names() - {MANIFEST, SIGNATURE, "PUBLIC-KEY.pem"}


async def test_it_says_which_frame_of_which_clip_the_still_was(life: LifeKit, tmp_path: Path) -> None:
    """Whoever holds the department's copy of the clip can cut that frame again."""
    lead_id = await life.released()
    cut = {
        "clipId": "c" * 22, "clipSha256": "ab" * 32, "container": "mov", "codec": "hevc", "frame": 29,
        "milliseconds": 933, "rotation": 90, "pixelAspect": [16, 11],
    }  # fmt: skip
    unpacked = await packet_of(life, lead_id, tmp_path)
    assert unpacked.facts["still"]["cutFrom"] is None
    assert "frame of a clip" not in (unpacked.folder / "lead-1" / "packet.txt").read_text()
    async with life.kit.database.write() as tx:
        await tx.execute(update(tables.probes).values(cut_from=cut))
    unpacked = await packet_of(life, lead_id, tmp_path)
    assert unpacked.facts["still"]["cutFrom"] == cut
    text = " ".join((unpacked.folder / "lead-1" / "packet.txt").read_text().split())
    for said in ("frame 29, at 0.933 s", "ab" * 32, "mov, hevc", "90 degrees clockwise", "16:11, made square"):
        assert said in text, said


async def test_it_holds_the_whole_life_of_the_lead(life: LifeKit, tmp_path: Path) -> None:
    """Three examiners who differ, so that there is dissent too."""
    lead_id = await life.taken(people=4)
    [first, *_] = await life.listed(lead_id)
    await life.life.examination.keep(lead_id, FIRST, Opinion(compared=(ComparedCandidate(candidate_ref=first),)))
    await life.life.examination.use_aid(lead_id, FIRST, AidUse(candidate_ref=first, aid=Aid.OVERLAY))
    await life.conclude(lead_id, supported=(0,))
    await life.review(lead_id, PEER, inconclusive=(0,))
    await life.review(lead_id, THIRD, supported=(0,))
    await life.life.release.release(lead_id, FIRST, ())
    await sign_log(life.kit)
    unpacked = await packet_of(life, lead_id, tmp_path)
    facts = unpacked.facts
    assert (facts["classification"], facts["notice"]) == ("INVESTIGATIVE_LEAD_ONLY", NOTICE)
    assert len(facts["limits"]) > 5
    request = facts["request"]
    assert (request["caseNumber"], request["legalBasis"]) == (FORM.case_number, FORM.legal_basis)
    assert (request["analyst"], facts["approval"]["by"]) == ("analyst", "supervisor")
    assert facts["still"]["originalSha256"]
    assert (facts["search"]["galleryVersion"], facts["search"]["modelPack"]) == (3, "test")
    candidates = facts["candidates"]
    assert [one["rank"] for one in candidates] == [1, 2, 3, 4]
    assert all(one["similarityScore"] == pytest.approx(0.9) for one in candidates)
    rounds = facts["examinations"]
    assert [one["examiner"] for one in rounds] == ["analyst", "reviewer", "examiner"]
    [wanted] = [one["number"] for one in candidates if one["released"]]
    said = [{row["candidate"]: row["conclusion"] for row in one["conclusions"]}[wanted] for one in rounds]
    assert said == ["support", "inconclusive", "support"]
    assert all(len(one["conclusions"]) == 4 for one in rounds), "the exclusions as well"
    used = [
        (one["round"], row["candidate"], row["aids"]) for one in rounds for row in one["conclusions"] if row["aids"]
    ]
    assert used == [(1, wanted, ["overlay"])]
    assert facts["release"]["dissent"] == [{"candidate": wanted, "conclusion": "inconclusive"}]
    assert facts["policyHash"] == policy().hash
    assert (unpacked.folder / "lead-1/policy/policy.yaml").is_file()
    actions = [step["action"] for step in facts["timeline"]]
    for action in ("probe.attach", "probe.approve", "lead.candidates", "examination.conclude", "lead.released"):
        assert action in actions
    assert unpacked.json("packet.json")["leads"][0]["leadId"] == lead_id
    for name in ("packet.html", "packet.txt"):
        text = (unpacked.folder / "lead-1" / name).read_text()
        for word in (lead_id, FORM.case_number, "inconclusive", "Dissent", "examiner", "supervisor", "with overlay"):
            assert str(word) in text
        assert "violent offense" in text
    assert "http" not in (unpacked.folder / "lead-1/packet.html").read_text()


async def test_conclusions_are_those_that_the_log_was_given(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await sign_log(life.kit)
    unpacked = await packet_of(life, lead_id, tmp_path)
    for number in (1, 2):
        filed = (unpacked.folder / f"lead-1/opinions/round-{number}.json").read_bytes()
        receipt = unpacked.json(f"lead-1/audit/round-{number}.json")
        entries = [json.loads(one["entry"]) for one in receipt["entries"]]
        [concluded] = [one for one in entries if one["action"] == "examination.conclude"]
        assert concluded["details"]["commitment"] == hashlib.sha256(filed).hexdigest()


async def test_its_proofs_lead_to_the_signed_head_of_the_log(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await sign_log(life.kit)
    unpacked = await packet_of(life, lead_id, tmp_path)
    key = VerifierKey.read((unpacked.folder / "audit/public-key.txt").read_text())
    proved = sorted(name for name in unpacked.names() if name.startswith("lead-1/audit/"))
    assert len(proved) == 4
    for name in proved:
        read_receipt((unpacked.folder / name).read_text()).verify(key)
    assert unpacked.facts["missing"] == ["the model pack test is not installed here any more; its hash is told"]


async def test_what_no_checkpoint_covers_yet_is_said(life: LifeKit, tmp_path: Path) -> None:
    unpacked = await packet_of(life, await life.released(), tmp_path)
    assert any("signed checkpoint" in sentence for sentence in unpacked.facts["missing"])
    assert "signed checkpoint" in (unpacked.folder / "README.txt").read_text()


async def test_who_was_not_released_is_not_identified_without_a_court(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released(people=3)
    persons = {row["subject_ref"] for row in await life.kit.rows(tables.subjects)}
    unpacked = await packet_of(life, lead_id, tmp_path)
    told = {person for person in persons if person in unpacked.everything()}
    assert len(told) == 1
    assert {one["person"] for one in unpacked.facts["candidates"] if one["released"]} == told
    pictures = {name for name in unpacked.names() if "candidate-" in name}
    assert len(pictures) == 2, "both of the one person"
    [released] = [one for one in unpacked.facts["candidates"] if one["released"]]
    dates = {f"lead-1/{name}": day for name, day in released["picturesTakenOn"].items()}
    assert dates.keys() == pictures
    assert sorted(dates.values(), key=str) == ["2019-05-30", None]
    assert all(one["picturesTakenOn"] == {} for one in unpacked.facts["candidates"] if not one["released"])
    for name in ("packet.html", "packet.txt"):
        said = (unpacked.folder / "lead-1" / name).read_text()
        number = released["number"]
        assert f"candidate {number}, taken on 2019-05-30" in said
        assert f"candidate {number}, date not known" in said
    full = await packet_of(life, lead_id, tmp_path, await ordered(life.kit, lead_id))
    assert {one["person"] for one in full.facts["candidates"]} == persons
    assert len({name for name in full.names() if "candidate-" in name}) == 6
    [first, second] = await life.kit.audited("lead.discovery_packet")
    assert [one["entry"]["details"]["identified"] for one in (first, second)] == ["released", "all"]
    assert second["entry"]["details"]["courtOrder"] == COURT_ORDER


async def test_who_was_removed_from_the_gallery_is_a_place_on_the_list(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released(people=2)
    rows = await life.kit.rows(tables.lead_candidates, lead_id=lead_id)
    async with life.kit.database.write() as tx:
        for row in rows:
            await life.leads.withdraw_for_subject(tx, row["subject_id"], "court order", "administrator")
        images = tables.gallery_images
        await tx.execute(update(images).values(removed_version=9, removed_reason="court order"))
    unpacked = await packet_of(life, lead_id, tmp_path, await ordered(life.kit, lead_id))
    assert [one["removedFromGallerySince"] for one in unpacked.facts["candidates"]] == [True, True]
    assert not any(row["subject_ref"] in unpacked.everything() for row in await life.kit.rows(tables.subjects))
    assert not any("candidate-" in name for name in unpacked.names())


async def test_bystanders_are_masked_in_it(life: LifeKit, tmp_path: Path) -> None:
    life.kit.workers.faces = (face(1), face(2, left=200.0))
    lead_id = await life.released()
    life.kit.workers.previewed.clear()
    await packet_of(life, lead_id, tmp_path)
    masked = [others for chosen, others in life.kit.workers.previewed if chosen is not None]
    assert [[one.box.left for one in others] for others in masked] == [[200.0]]


async def test_a_still_of_which_no_face_was_chosen_is_not_in_it(life: LifeKit, tmp_path: Path) -> None:
    life.kit.workers.faces = (face(1, Verdict.REFUSED), face(2, Verdict.REFUSED, left=200.0))
    await life.kit.attached()
    [lead] = await life.kit.rows(tables.leads)
    unpacked = await packet_of(life, str(lead["lead_id"]), tmp_path)
    assert unpacked.is_whole
    assert life.kit.workers.previewed == []
    assert not any("pictures/" in name for name in unpacked.names())
    assert "no face was chosen" in (unpacked.folder / "README.txt").read_text()
    assert "Nothing was searched" in (unpacked.folder / "lead-1/packet.txt").read_text()


async def test_the_face_that_was_searched_is_in_it_pixel_by_pixel(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    unpacked = await packet_of(life, lead_id, tmp_path)
    [probe] = await life.kit.rows(tables.probes)
    with Image.open(unpacked.folder / "lead-1/pictures/face-searched.png") as picture:
        assert picture.tobytes() == await life.kit.read(probe["crop_object"])


async def test_it_stands_alone_when_everything_is_purged(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    before = await packet_of(life, lead_id, tmp_path)
    [probe] = await life.kit.rows(tables.probes)
    [lead] = await life.kit.rows(tables.leads)
    async with life.kit.database.write() as tx:
        await life.kit.vault.destroy(tx, probe["original_object"], probe["crop_object"], lead["candidates_object"])
    assert before.is_whole
    assert before.facts["candidates"]
    after = await packet_of(life, lead_id, tmp_path)
    assert after.is_whole
    assert after.facts["candidates"] == []
    assert len(after.facts["missing"]) >= 3
    assert "the list of candidates is kept no longer" in (after.folder / "README.txt").read_text()


@pytest.mark.parametrize("reach", [LifeKit.lead, LifeKit.taken], ids=["found", "taken"])
async def test_none_is_made_while_somebody_has_to_conclude(life: LifeKit, tmp_path: Path, reach: Any) -> None:
    lead_id = await reach(life)
    desk = report_desks(life.kit, tmp_path).discovery
    for made in (
        desk.of_lead(ADMINISTRATOR, lead_id, ASKED),
        desk.of_case(ADMINISTRATOR, str(FORM.case_number), ASKED),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await made
        assert caught.value.rule == "P12"
        assert "withdraw" not in str(caught.value)
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")
    assert (await packet_of(life, lead_id, tmp_path)).is_whole


@pytest.mark.parametrize("account", [one for one in DEMO_ACCOUNTS.values() if one != ADMINISTRATOR])
async def test_nobody_makes_one_but_the_administrator(life: LifeKit, tmp_path: Path, account: Account) -> None:
    desk = report_desks(life.kit, tmp_path).discovery
    for made in (desk.of_lead(account, "x" * 22, ASKED), desk.of_case(account, "a case", ASKED)):
        with pytest.raises(PolicyRefusalError) as caught:
            await made
        assert caught.value.rule == "P10"
    refused = await life.kit.audited("lead.discovery_packet")
    assert [one["outcome"] for one in refused] == ["refused", "refused"]


async def test_nor_an_administrator_who_examines_as_well(life: LifeKit, tmp_path: Path) -> None:
    """P12: a packet of an earlier search of the picture would tell them what they review blind."""
    both = Account("both", frozenset({Role.ADMINISTRATOR, Role.ANALYST}))
    lead_id = await life.released()
    with pytest.raises(PolicyRefusalError, match="no analyst") as caught:
        await report_desks(life.kit, tmp_path).discovery.of_lead(
            both, lead_id, PacketOrder(reason="motion", handed_to=DEFENSE)
        )
    assert caught.value.rule == "P12"


async def test_the_log_names_the_packet_and_no_person_nor_case(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    made = await report_desks(life.kit, tmp_path).discovery.of_lead(ADMINISTRATOR, lead_id, ASKED)
    [entry] = await life.kit.audited("lead.discovery_packet")
    assert (entry["actor"], entry["subject"], entry["outcome"]) == ("administrator", lead_id, "made")
    manifest = (unpack(made, tmp_path / "it").folder / MANIFEST).read_bytes()
    assert entry["entry"]["details"]["manifestSha256"] == hashlib.sha256(manifest).hexdigest() == made.manifest_sha256
    assert set(entry["entry"]["names"]) == {"case", "requestor", "receiver"}
    assert str(FORM.case_number) not in json.dumps(entry["entry"])


async def test_a_case_has_one_packet(life: LifeKit, tmp_path: Path) -> None:
    first = await life.released()
    life.kit.clock.advance(60)
    second = await life.released()
    await life.kit.attached()
    made = await report_desks(life.kit, tmp_path).discovery.of_case(ADMINISTRATOR, str(FORM.case_number), ASKED)
    unpacked = unpack(made, tmp_path / "case")
    assert unpacked.is_whole
    index = unpacked.json("packet.json")
    assert [(one["folder"], one["leadId"]) for one in index["leads"]] == [("lead-1", first), ("lead-2", second)]
    assert [one["state"] for one in index["stillsWithoutALead"]] == ["faces_found"]
    assert "There are 2 leads" in (unpacked.folder / "README.txt").read_text()
    assert {one["subject"] for one in await life.kit.audited("lead.discovery_packet")} == {first, second}
    with pytest.raises(NotFoundError):
        await report_desks(life.kit, tmp_path).discovery.of_case(ADMINISTRATOR, "another case", ASKED)


async def test_the_model_of_the_search_is_in_it_where_it_is_installed(life: LifeKit, tmp_path: Path) -> None:
    pack = paper_pack(tmp_path / "packs" / "agency")
    paper_pack(tmp_path / "packs" / "other", "other")
    lead_id = await life.released()
    async with life.kit.database.write() as tx:
        lead = await leads.find(tx, lead_id, lock=True)
        assert lead is not None
        search = {**lead.data["search"], "modelHash": pack.pack_hash}
        table = tables.leads
        await tx.execute(update(table).where(table.c.lead_id == lead_id).values(data={**lead.data, "search": search}))
    unpacked = await packet_of(life, lead_id, tmp_path)
    assert unpacked.facts["model"]["packHash"] == pack.pack_hash
    assert unpacked.json("lead-1/model/pack.json")["name"] == "agency"


async def test_a_kept_policy_stands_in_for_one_that_was_replaced(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    kept, other = tmp_path / "kept.yaml", tmp_path / "other.yaml"
    kept.write_text("a policy of last year")
    other.write_text("a policy that nobody cites")
    hashed = hashlib.sha256(kept.read_bytes()).hexdigest()
    async with life.kit.database.write() as tx:
        lead = await leads.find(tx, lead_id, lock=True)
        assert lead is not None
        data = {**lead.data, "policyHash": hashed}
        await tx.execute(update(tables.leads).where(tables.leads.c.lead_id == lead_id).values(data=data))
    without = await packet_of(life, lead_id, tmp_path)
    assert any(hashed in sentence for sentence in without.facts["missing"])
    order = PacketOrder(reason="motion", handed_to=DEFENSE, policies=(kept,))
    unpacked = await packet_of(life, lead_id, tmp_path, order)
    assert (unpacked.folder / "lead-1/policy/policy.yaml").read_bytes() == kept.read_bytes()
    with pytest.raises(InvalidInputError, match="other"):
        await packet_of(
            life, lead_id, tmp_path, PacketOrder(reason="motion", handed_to=DEFENSE, policies=(kept, other))
        )


@pytest.mark.parametrize(
    "order",
    [PacketOrder(reason=" ", handed_to=DEFENSE), PacketOrder(reason="x" * 1025, handed_to=DEFENSE)],
)
async def test_not_without_a_reason(life: LifeKit, tmp_path: Path, order: PacketOrder) -> None:
    lead_id = await life.released()
    with pytest.raises(InvalidInputError):
        await packet_of(life, lead_id, tmp_path, order)
    assert await life.kit.audited("lead.discovery_packet") == []


async def test_the_file_is_whole_or_not_there(life: LifeKit, tmp_path: Path) -> None:
    made = await report_desks(life.kit, tmp_path).discovery.of_lead(ADMINISTRATOR, await life.released(), ASKED)
    place = tmp_path / "out" / "packet.zip"
    place.parent.mkdir()
    write_packet(made, place)
    assert place.read_bytes() == made.data
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError):
        write_packet(made, place)
    assert [file.name for file in place.parent.iterdir()] == ["packet.zip"]
