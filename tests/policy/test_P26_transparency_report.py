"""P26: the public can read how often, for what and with which outcome searches were made, and finds nobody in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.audit.entries import DECLINED, REFUSED
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.errors import InvalidInputError, PolicyRefusalError
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account
from rtcc_bridge.probes import approval
from rtcc_bridge.reports import transparency_forms as forms
from rtcc_bridge.reports.pdf import pdf
from rtcc_bridge.reports.period import Period
from rtcc_bridge.reports.tally import FOLDED, PURPOSES, Act, Approved, Became, Tally
from rtcc_bridge.reports.transparency import TransparencyReport
from rtcc_bridge.storage import report_rows, tables
from tests.command_kit import Command
from tests.life_kit import ADMINISTRATOR, AUDITOR, FIRST, PEER, SUPERVISOR, THIRD, LifeKit
from tests.probe_kit import ANALYST, FORM, Gallery, face_search, form, record_of, search_handler, upload
from tests.report_kit import log_searches, report_desks

NOVEMBER = Period.read("2026-11", "2026-11")
TO_DECEMBER = 9 * 86_400.0
"""From the clock's beginning, so that November is over."""


async def tally_of(life: LifeKit, period: Period = NOVEMBER, training: frozenset[str] = frozenset()) -> Tally:
    """What the log says, before anything is left out."""
    tally = Tally(period, training)
    async with life.kit.database.read() as tx:
        async for entry in report_rows.acts(tx, FOLDED, period.since, refused=REFUSED):
            tally.add(entry)
        tally.finish(await report_rows.incident_kinds(tx, tally.incident_ids()))
    return tally


async def made(life: LifeKit, folder: Path, period: Period = NOVEMBER, **options: Any) -> TransparencyReport:
    return await report_desks(life.kit, folder).transparency.make(AUDITOR, period, **options)


def only(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


async def test_what_people_did_is_counted(life: LifeKit) -> None:
    """Every way that a search can go, by the desks themselves."""
    await life.released()
    unclear = await life.taken()
    await life.conclude(unclear, inconclusive=(0,))
    await life.review(unclear, PEER, inconclusive=(0,))
    withdrawn = await life.released()
    await life.life.withdrawal.withdraw(withdrawn, SUPERVISOR, "a reason")
    await life.lead()
    await life.life.withdrawal.withdraw(await life.lead(), SUPERVISOR, "a reason")
    await nobody_found(life)
    await life.lead(imminent=True, incident_id="threatened")
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()
    tally = await tally_of(life)
    assert only(tally.by(lambda search: search.purpose)) == {"violent_offense": 7}
    assert only(tally.by(lambda search: search.became.value)) == {
        "released_without_an_outcome_yet": 1,
        "inconclusive": 1,
        "taken_back_after_release": 1,
        "still_examined": 1,
        "withdrawn_before_release": 2,
        "nobody_alike": 1,
    }
    assert only(tally.by(lambda search: search.approved.value)) == {"before_the_search": 6, "not_in_time": 1}
    assert tally.acts[Act.STILLS] == 7


async def nobody_found(life: LifeKit) -> None:
    await life.kit.authorized()
    search = face_search(Gallery())
    async with search.batcher:
        handler = search_handler(life.kit, search)
        for row in await life.kit.requests():
            await handler.handle(record_of(row))


async def test_refusals_are_counted_by_their_rule(life: LifeKit) -> None:
    await life.kit.incident()
    for _ in range(2):
        with pytest.raises(PolicyRefusalError):
            await life.kit.desk.attach("incident-1", form(legal_basis=" "), ANALYST, upload())
    with pytest.raises(PolicyRefusalError):
        await life.kit.desk.attach("incident-1", form(purpose="curiosity"), ANALYST, upload())
    tally = await tally_of(life)
    assert tally.refusals == {"P01": 2, "P02": 1}
    assert tally.acts[Act.STILLS] == 0, "what was refused was not attached"


@pytest.mark.parametrize("outcome", [DECLINED, REFUSED], ids=["as it is entered", "as earlier versions entered it"])
async def test_what_a_supervisor_refuses_is_counted_as_that_and_under_no_rule(
    life: LifeKit, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Before the search, and after it under an imminent threat."""
    monkeypatch.setattr(approval, "DECLINED", outcome)
    waiting = await life.kit.chosen("waiting")
    await life.kit.desk.refuse(waiting.probe_id, SUPERVISOR, "no basis")
    lead_id = await life.lead(imminent=True, incident_id="threatened")
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.refuse(lead["probe_id"], SUPERVISOR, "no basis")
    tally = await tally_of(life)
    assert tally.refusals == {}
    assert tally.acts[Act.REFUSED] == 2
    assert only(tally.by(lambda search: search.approved.value)) == {"refused_after_it": 1}
    assert only(tally.by(lambda search: search.became.value)) == {"withdrawn_before_release": 1}


async def test_reviews_and_who_disagreed_are_counted(life: LifeKit, tmp_path: Path) -> None:
    for _ in range(6):
        await life.agreed()
    for _ in range(5):
        lead_id = await life.taken()
        await life.conclude(lead_id, supported=(0,))
        await life.review(lead_id, PEER)
        life.kit.clock.advance(600)
        await life.review(lead_id, THIRD)
    life.kit.clock.advance(TO_DECEMBER)
    report = await made(life, tmp_path)
    assert dict(report.tables["reviews"].counts) == {"no_third_examiner": 6, "third_examiner": 5}
    assert report.review_times.median == 0
    assert report.review_times.ninth_decile == 10


async def test_small_counts_are_in_no_form_of_it(life: LifeKit, tmp_path: Path) -> None:
    await life.kit.incident("rare", incident_type="STABBING")
    await life.kit.incident("common", incident_type="SHOOT")
    await log_searches(life.kit, 23, incident="common")
    await log_searches(life.kit, 3, incident="rare", purpose="imminent_threat")
    await log_searches(life.kit, 41, incident="common", purpose="identify_deceased")
    life.kit.clock.advance(TO_DECEMBER)
    report = await made(life, tmp_path)
    assert report.searches == 67
    assert dict(report.tables["purpose"].counts) == {
        "violent_offense": None,
        "imminent_threat": None,
        "identify_deceased": 41,
        "identify_incapacitated": 0,
    }
    assert dict(report.tables["offense"].counts) == {"SHOOT": None, "all others": None}
    assert dict(report.tables["gallery"].counts) == {"live": 67}
    assert "STABBING" not in forms.page(report) + forms.comma_separated(report) + json.dumps(forms.as_json(report))
    rows = [line.split(",") for line in forms.comma_separated(report).splitlines()]
    counts = {(row[0], row[1]): row[2] for row in rows if row[0] in forms.TITLES or row[0] == "acts"}
    assert counts["purpose", "imminent_threat"] == counts["purpose", "violent_offense"] == ""
    assert {count for count in counts.values() if count}.isdisjoint({"1", "2", "3", "4"})
    assert forms.page(report).count(f">{forms.LEFT_OUT}<") >= 4


async def test_nobody_and_no_case_stands_in_it(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    for _ in range(5):
        await life.lead()
    life.kit.clock.advance(TO_DECEMBER)
    report = await made(life, tmp_path)
    text = forms.page(report) + forms.comma_separated(report) + json.dumps(forms.as_json(report))
    for secret in (str(FORM.case_number), FORM.legal_basis, lead_id, "incident-1", FIRST.name, PEER.name):
        assert secret not in text


async def test_a_period_in_which_nothing_happened_is_a_report_too(life: LifeKit, tmp_path: Path) -> None:
    report = await made(life, tmp_path, Period.read("2026-03", "2026-05"))
    assert report.is_empty
    assert report.searches == 0
    assert "Nothing was searched, attempted or refused in this period." in forms.page(report)
    assert "purpose,total,0" in forms.comma_separated(report)
    assert forms.as_json(report)["tables"]["purpose"]["total"] == 0
    assert report.review_times.median is None


async def test_one_that_only_refused_is_not_empty(life: LifeKit, tmp_path: Path) -> None:
    await life.kit.incident()
    with pytest.raises(PolicyRefusalError):
        await life.kit.desk.attach("incident-1", form(purpose="curiosity"), ANALYST, upload())
    life.kit.clock.advance(TO_DECEMBER)
    report = await made(life, tmp_path)
    assert not report.is_empty
    assert "No search was made in this period." in forms.page(report)


async def test_exercises_are_counted_apart(life: LifeKit) -> None:
    await log_searches(life.kit, 6)
    await log_searches(life.kit, 8, gallery="training")
    tally = await tally_of(life, training=frozenset({"training"}))
    assert (len(tally.searches), tally.acts[Act.EXERCISES]) == (6, 8)


async def test_a_purge_changes_nothing_of_it(life: LifeKit, tmp_path: Path) -> None:
    for _ in range(5):
        await life.lead(people=1)
    life.kit.clock.advance(TO_DECEMBER)
    before = await made(life, tmp_path)
    async with life.kit.database.write() as tx:
        for table in (tables.opinions, tables.examinations, tables.lead_candidates, tables.leads):
            await tx.execute(table.delete())
        await tx.execute(tables.probes.delete())
    after = await made(life, tmp_path)
    assert after.tables == before.tables
    assert after.searches == 5


async def test_what_came_of_it_later_is_told_and_what_was_searched_later_is_not(life: LifeKit) -> None:
    lead_id = await life.agreed()
    life.kit.clock.advance(TO_DECEMBER)
    await life.life.release.release(lead_id, FIRST, ())
    await life.lead()
    tally = await tally_of(life)
    assert only(tally.by(lambda search: search.became.value)) == {"released_without_an_outcome_yet": 1}


async def test_one_report_is_not_subtracted_from_another(life: LifeKit, tmp_path: Path) -> None:
    life.kit.clock.advance(70 * 86_400.0)  # February
    await made(life, tmp_path, Period.read("2026-10", "2026-12"))
    await made(life, tmp_path, Period.read("2026-10", "2026-12"))
    await made(life, tmp_path, Period.read("2027-01", "2027-01"))
    for first, last in (("2026-10", "2026-11"), ("2026-12", "2027-01"), ("2026-01", "2026-12")):
        with pytest.raises(PolicyRefusalError) as caught:
            await made(life, tmp_path, Period.read(first, last))
        assert caught.value.rule == "P26"
    assert [one["outcome"] for one in await life.kit.audited("report.transparency")].count("refused") == 3
    year = await made(life, tmp_path, Period.read("2026-01", "2026-12"), overlapping=True)
    assert [str(one) for one in year.overlapping] == ["2026-10 to 2026-12"]
    assert "2026-10 to 2026-12" in forms.page(year)
    assert "subtract" in forms.page(year)


async def test_by_command_no_small_count_comes_out_and_no_report_is_subtracted_unsaid(
    life: LifeKit, command: Command, tmp_path: Path
) -> None:
    """An insider who may make it wants to know what became of one search: by every form, and by one month more."""
    await life.kit.incident("common", incident_type="SHOOT")
    await log_searches(life.kit, 40, incident="common")
    await log_searches(life.kit, 1, incident="common", purpose="imminent_threat")
    life.kit.clock.advance(TO_DECEMBER)
    out = tmp_path / "out"
    formats = ("--format", "html", "--format", "csv", "--format", "json", "--to", str(out))
    done = await command("report", "transparency", "--from", "2026-11", *formats)
    assert done.exit_code == 0, done.output
    texts = {file.suffix: file.read_text() for file in out.iterdir()}
    assert texts.keys() == {".html", ".csv", ".json"}
    counts = {row[1]: row[2] for row in (line.split(",") for line in texts[".csv"].splitlines()) if row[0] == "purpose"}
    assert (counts["imminent_threat"], counts["violent_offense"]) == ("", ""), "the other one would give it away"
    told = json.loads(texts[".json"])
    assert 1 not in told["tables"]["purpose"]["rows"].values()
    wider = ("report", "transparency", "--from", "2026-10", "--until", "2026-11", *formats)
    refused = await command(*wider)
    assert (refused.exit_code, "subtract" in refused.output) == (EXIT_REJECTED, True), refused.output
    assert (await command("report", "transparency", "--from", "2026-11-01", *formats)).exit_code == EXIT_REJECTED
    assert (await command(*wider, "--overlapping")).exit_code == 0
    assert "subtract" in (out / "transparency-2026-10-to-2026-11.html").read_text(), "and its reader is told"
    outcomes = [(one["actor"], one["outcome"]) for one in await life.kit.audited("report.transparency")]
    assert outcomes == [("administrator", "made"), ("administrator", "refused"), ("administrator", "made")]


async def test_a_month_that_runs_gives_a_preliminary_one(life: LifeKit, tmp_path: Path) -> None:
    report = await made(life, tmp_path)
    assert report.is_preliminary
    assert "Not for publication" in forms.page(report)
    assert (await made(life, tmp_path, Period.read("2026-10", "2026-11"))).overlapping == ()
    with pytest.raises(InvalidInputError, match="still to come"):
        await made(life, tmp_path, Period.read("2026-12", "2026-12"))


@pytest.mark.parametrize("account", [one for one in DEMO_ACCOUNTS.values() if one not in {ADMINISTRATOR, AUDITOR}])
async def test_only_administrator_and_auditor_make_it(life: LifeKit, tmp_path: Path, account: Account) -> None:
    with pytest.raises(PolicyRefusalError) as caught:
        await report_desks(life.kit, tmp_path).transparency.make(account, NOVEMBER)
    assert caught.value.rule == "P10"


async def test_that_it_was_made_is_in_the_log(life: LifeKit, tmp_path: Path) -> None:
    life.kit.clock.advance(TO_DECEMBER)
    await made(life, tmp_path)
    [entry] = await life.kit.audited("report.transparency")
    assert (entry["actor"], entry["outcome"]) == ("auditor", "made")
    assert entry["entry"]["details"] == {"first": "2026-11", "last": "2026-11", "overlapping": []}


async def test_a_formula_from_dispatch_is_text_to_a_spreadsheet(life: LifeKit, tmp_path: Path) -> None:
    await life.kit.incident("odd", incident_type='=HYPERLINK("x")')
    await log_searches(life.kit, 5, incident="odd")
    life.kit.clock.advance(TO_DECEMBER)
    report = await made(life, tmp_path)
    assert "offense,\"'=HYPERLINK" in forms.comma_separated(report)
    assert "=HYPERLINK(&#34;x&#34;)" in forms.page(report)


async def test_it_is_a_pdf_too(life: LifeKit, tmp_path: Path) -> None:
    made_pdf = pdf(forms.page(await made(life, tmp_path)))
    assert made_pdf.startswith(b"%PDF-")
    assert len(made_pdf) > 5_000, "its font is in it"


def test_a_pdf_fetches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40"/></svg>'
    )
    with_picture = pdf(f'<title>x</title><p>text</p><img src="{secret.as_uri()}">')
    without = pdf('<title>x</title><p>text</p><img src="missing.svg">')
    assert abs(len(with_picture) - len(without)) < 100


def test_the_words_are_complete() -> None:
    assert set(forms.ACTS) == set(Act)
    assert {*Became, *Approved, *PURPOSES} <= forms.WORDS.keys()


async def test_the_same_period_reported_again_says_so(life: LifeKit, tmp_path: Path) -> None:
    """What becomes of searches goes on, so the second one may differ: whoever has it has to know of the first."""
    life.kit.clock.advance(TO_DECEMBER)
    first = await made(life, tmp_path)
    assert first.made_before == ()
    assert "reported before" not in forms.page(first)
    life.kit.clock.advance(3600)
    again = await made(life, tmp_path)
    assert again.made_before == (first.made_at,)
    assert f"This period was reported before, on {first.made_at:%Y-%m-%d %H:%M} UTC." in forms.page(again)
    assert f"period,made before,{rfc3339(first.made_at)}" in forms.comma_separated(again).splitlines()
    assert forms.as_json(again)["madeBefore"] == [rfc3339(first.made_at)]
    life.kit.clock.advance(3600)
    assert (await made(life, tmp_path)).made_before == (first.made_at, again.made_at)
    assert (await made(life, tmp_path, Period.read("2026-03", "2026-05"))).made_before == ()
