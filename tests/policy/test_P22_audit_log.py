"""P22: the log is whole or it shows; refusals and looks are in it; names are commitments; a stranger verifies it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.commitments import Commitments, Name, NameKind, forget
from rtcc_bridge.audit.note import NoteSigner
from rtcc_bridge.cli import main
from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage import outside_receivers, tables
from rtcc_bridge.storage.master_keys import LocalMasterKeys
from tests.audit_kit import OTHER_SEED, AuditKit, lines_of, notes_of, resign, write_lines
from tests.life_kit import AUDITOR, SUPERVISOR, LifeKit
from tests.life_kit import REQUESTOR as LEAD_REQUESTOR
from tests.probe_kit import ANALYST, FLOOR, ProbeKit, form, upload

CASE, REQUESTOR = "26-000123", "the detective"


@pytest.fixture
def log(kit: ProbeKit) -> AuditKit:
    return AuditKit(kit.database, kit.clock, kit.metrics)


@pytest.fixture
async def export(kit: ProbeKit, log: AuditKit, tmp_path: Path) -> Path:
    """The log of a search with its refusals and looks, and the files that an auditor has of it."""
    probe = await kit.authorized()
    await log.sign()
    with pytest.raises(PolicyRefusalError):
        await kit.desk.preview(probe.probe_id, FLOOR)
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(purpose="curiosity"), ANALYST, upload())
    await log.sign()
    folder = await log.export(tmp_path / "export")
    (tmp_path / "key").write_text(str(await log.key()), encoding="utf-8")
    (tmp_path / "kept").write_text(notes_of(folder)[0].note, encoding="utf-8")
    return folder


def verify(export: Path, *, kept: bool = True) -> Result:
    folder = export.parent
    arguments = ["audit", "verify", str(export), "--key", str(folder / "key")]
    return CliRunner().invoke(main, [*arguments, *(["--checkpoint", str(folder / "kept")] if kept else [])])


async def test_every_act_refusal_and_look_is_an_entry(export: Path) -> None:
    entries = [json.loads(line) for line in lines_of(export, export_files.ENTRIES)]
    acts = {(entry["action"], entry["outcome"]) for entry in entries}
    assert {("probe.attach", "faces_found"), ("probe.approve", "authorized")} <= acts
    assert {("probe.preview", "refused"), ("probe.attach", "refused")} <= acts
    for entry in entries:
        assert entry.keys() >= {"actor", "action", "subject", "outcome", "authority", "at", "entryId"}


@pytest.mark.parametrize(
    ("named", "kept"), [("x" * 300, "x" * 256), ("a\0b", "a\N{REPLACEMENT CHARACTER}b")], ids=["long", "with a zero"]
)
async def test_what_is_refused_is_an_entry_whatever_it_was_called(life: LifeKit, named: str, kept: str) -> None:
    """PostgreSQL takes neither as it is. The entry would lie in the journal, and end every process that merges it."""
    with pytest.raises(PolicyRefusalError):
        await life.leads.acknowledge(named, FLOOR)
    [entry] = await life.kit.audited("lead.acknowledge")
    assert (entry["subject"], entry["outcome"]) == (kept, "refused")


async def test_a_look_at_what_colleagues_did_is_an_entry(life: LifeKit) -> None:
    """It names people too: who had a lead, whose approvals lapsed, who opened an incident. One's own names nobody."""
    lead_id, withdrawal = await life.released(), life.life.withdrawal
    unseen = await life.lead(incident_id="incident-2")
    assert len(await withdrawal.receivers(lead_id, AUDITOR)) == 1
    async with life.kit.database.write() as tx:
        assert await outside_receivers.enter_system(tx, "rtcc-feed", {unseen}, life.kit.clock.now()) == 1
    assert [one.name for one in await withdrawal.receivers(unseen, AUDITOR)] == ["rtcc-feed"]
    await life.kit.desk.deferrals.standings(SUPERVISOR)
    await life.kit.provisional.waiting(SUPERVISOR)
    looks = [
        (entry["actor"], entry["subject"], entry["outcome"])
        for action in ("lead.receivers", "deferral.view", "incident.view_provisional")
        for entry in await life.kit.audited(action)
    ]
    assert looks == [
        ("auditor", lead_id, "shown"),
        ("supervisor", "deferrals", "shown"),
        ("supervisor", "provisional", "shown"),
    ], "a ledger in which systems stand names nobody"
    assert len(await life.life.release.all_received(LEAD_REQUESTOR)) == 1
    assert await life.kit.audited("lead.received") == []


async def test_a_stranger_verifies_a_good_export_with_the_key_alone(export: Path) -> None:
    done = verify(export)
    assert done.exit_code == 0, done.output
    assert "are as they were signed" in done.output
    assert "is one of this history" in done.output
    assert "without a checkpoint that you kept" in verify(export, kept=False).output


def _change(lines: list[str]) -> list[str]:
    return [lines[0].replace('"actor":"', '"actor":"not-'), *lines[1:]]


SPOILED: dict[str, Callable[[list[str]], list[str]]] = {
    "edited": _change,
    "deleted": lambda lines: lines[1:],
    "inserted": lambda lines: ["{}", *lines],
    "reordered": lambda lines: [lines[1], lines[0], *lines[2:]],
    "truncated": lambda lines: lines[:-1],
}


@pytest.mark.parametrize("how", SPOILED)
async def test_what_is_spoiled_is_refused_and_the_first_bad_entry_named(export: Path, how: str) -> None:
    lines = lines_of(export, export_files.ENTRIES)
    write_lines(export, export_files.ENTRIES, SPOILED[how](lines))
    done = verify(export)
    assert done.exit_code == 6, done.output
    assert f"entry {len(lines) - 1 if how == 'truncated' else 0} " in done.output


async def test_a_log_that_was_rolled_back_is_refused(export: Path) -> None:
    kept, now = notes_of(export)
    (export.parent / "kept").write_text(now.note, encoding="utf-8")
    write_lines(export, export_files.CHECKPOINTS, lines_of(export, export_files.CHECKPOINTS)[:1])
    for name in (export_files.LEAVES, export_files.ENTRIES):
        write_lines(export, name, lines_of(export, name)[: kept.checkpoint.size])
    assert verify(export, kept=False).exit_code == 0
    done = verify(export)
    assert (done.exit_code, "rolled back" in done.output) == (6, True)


async def test_a_log_that_was_rewritten_and_signed_by_another_key_is_refused(export: Path) -> None:
    """The seventh: it fits by itself, under the log's own name, and only the key that the auditor has tells."""
    name = (export.parent / "key").read_text(encoding="utf-8").split("+")[0]
    write_lines(export, export_files.ENTRIES, _change(lines_of(export, export_files.ENTRIES)))
    resign(export, name, OTHER_SEED)
    for kept in (True, False):
        done = verify(export, kept=kept)
        assert (done.exit_code, "the key was swapped" in done.output) == (6, True), done.output
    (export.parent / "key").write_text(str(NoteSigner(name, OTHER_SEED).verifier), encoding="utf-8")
    assert verify(export, kept=False).exit_code == 0, "by itself it is a good log: the key has to come from elsewhere"


async def test_another_key_is_refused(export: Path) -> None:
    key = (export.parent / "key").read_text(encoding="utf-8")
    (export.parent / "key").write_text(key.replace(key.split("+")[0], "another/log"), encoding="utf-8")
    assert verify(export).exit_code == 4, "a key that was mistyped is no key"


async def test_what_is_no_export_is_told_apart(export: Path) -> None:
    (export / export_files.LEAVES).unlink()
    assert verify(export).exit_code == 4


async def test_each_step_of_a_search_has_a_receipt(kit: ProbeKit, log: AuditKit) -> None:
    probe = await kit.authorized()
    await log.sign()
    receipt = await log.proofs.of_subject(probe.probe_id)
    assert len(receipt.entries) == len(await kit.rows(tables.audit_entries, subject=probe.probe_id))
    assert probe.probe_id in receipt.verify(await log.key())


async def test_names_are_commitments_whose_key_goes(kit: ProbeKit, log: AuditKit, tmp_path: Path) -> None:
    settings = ObjectSettings(master_key_file=tmp_path / "master.key")
    commitments = Commitments(kit.database, LocalMasterKeys.load(settings, may_create=True), kit.clock)
    probe = await kit.authorized()
    names = [row["entry"]["names"] for row in await kit.rows(tables.audit_entries, subject=probe.probe_id)]
    assert len(names) > 2
    assert all(one == names[0] for one in names), "one name, one commitment"
    for row in await kit.rows(tables.audit_entries):
        text = canonical_json(row["entry"]).decode()
        assert probe.case_number not in text
        assert f':"{probe.requestor}"' not in text
    case = Name(NameKind.CASE, probe.case_number)
    assert await commitments.proves(case, names[0]["case"])
    assert not await commitments.proves(case, names[0]["requestor"])
    await log.sign()
    async with kit.database.write() as tx:
        assert await forget(tx, case)
    with pytest.raises(NotFoundError):
        await commitments.proves(case, names[0]["case"])
    await commitments.prepare([case])
    assert not await commitments.proves(case, names[0]["case"]), "the same name again has another key"
    export = await log.export(tmp_path / "export")
    (tmp_path / "key").write_text(str(await log.key()), encoding="utf-8")
    assert verify(export, kept=False).exit_code == 0, "the log is as whole as before"
