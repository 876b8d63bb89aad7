"""P10 in full: every address of the web and every call of a service, against every role, nobody, and a program."""

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, get_type_hints

import pytest
from aiohttp import ClientResponse, web
from aiohttp.web_urldispatcher import StaticResource

import rtcc_bridge
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.export import GalleryExport
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.overview import GalleryOverview
from rtcc_bridge.gallery.retention import RetentionKeeper
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.leads.comparison import Aid, AidUse, Opinion
from rtcc_bridge.leads.corroboration import OutcomeReport
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy import disclosure, rules
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, NOBODY, Account, Role
from rtcc_bridge.policy.permissions import MACHINE_DEEDS, PERMITTED, Deed, may
from rtcc_bridge.probes.provisional import ProvisionalForm
from rtcc_bridge.probes.repeat import SearchRepeater
from rtcc_bridge.reports.discovery import PacketOrder
from rtcc_bridge.reports.period import Period
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.retention.dispositions import Disposition
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.retention.keeper import PurgeKeeper
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.web.access import ROUTE_GUARDS
from rtcc_bridge.web.application import create_app
from rtcc_bridge.web.openapi import OPERATIONS
from rtcc_bridge.web.pages import PAGES, ROLE_SWITCH
from rtcc_bridge.web.route_deeds import GUARDS, Guard
from rtcc_bridge.web.security_headers import STATIC_PREFIX
from rtcc_bridge.web.sign_in import SIGN_IN_PAGES
from tests.doubles import ManualClock
from tests.gallery_kit import PACK, SENT_WORDS, SOURCE_WORDS, WordPortraits
from tests.probe_kit import CERTIFIED, form, gallery_parts, policy, upload
from tests.report_kit import DEFENSE
from tests.retention_kit import retention_parts
from tests.website import Website, acting, running_site

ROUTES = sorted(GUARDS)
GUARDED = [address for address in ROUTES if GUARDS[address].deed is not None]


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


@pytest.fixture
async def strict(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    """Without the role switch: whoever says nothing is nobody."""
    async with running_site(database, clock, metrics, tmp_path, identity={"role_switch": False}) as running:
        yield running


def test_every_address_stands_in_the_table_and_nothing_else_does() -> None:
    served: set[tuple[str, str]] = {(one.method, one.path) for one in OPERATIONS}
    served |= {(method, path) for method, path, _ in (*PAGES, *SIGN_IN_PAGES, ROLE_SWITCH)}
    assert served | {("GET", STATIC_PREFIX)} == set(GUARDS)


async def test_every_route_that_was_added_has_its_guard(site: Website) -> None:
    app = create_app(site.services)
    for route in app.router.routes():
        assert route in app[ROUTE_GUARDS], route
        if isinstance(route.resource, StaticResource):
            assert app[ROUTE_GUARDS][route].deed is None


def test_a_guard_names_a_parameter_that_the_path_has() -> None:
    for (_, path), guard in GUARDS.items():
        assert guard.subject is None or f"{{{guard.subject}}}" in path


@pytest.mark.parametrize("role", Role)
async def test_an_address_is_open_to_the_roles_of_its_deed_and_to_no_other(site: Website, role: Role) -> None:
    refused = 0
    for method, path in GUARDED:
        guard = GUARDS[method, path]
        assert guard.deed is not None
        async with site.client.request(method, address(path), headers=_polite(acting(role.value))) as answer:
            problem = await _problem(answer)
        entries = await site.kit.rows(tables.audit_entries, outcome="refused")
        if may(DEMO_ACCOUNTS[role], guard.deed):
            assert answer.status not in {401, 403}, path
            assert len(entries) == refused
            continue
        refused += 1
        assert (answer.status, problem.get("rule")) == (403, "P10"), path
        assert len(entries) == refused
        assert (role.value, guard.action, _subject(guard)) in {_who_what_where(entry) for entry in entries}
    assert site.kit.count("policy_refusals_total", rule="P10") == refused


async def test_nobody_is_told_to_sign_in(strict: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcc_bridge.web.access.STRANGERS_PER_MINUTE", len(GUARDED))
    for method, path in GUARDED:
        async with strict.client.request(method, address(path), headers=_polite({})) as answer:
            problem = await _problem(answer)
        assert (answer.status, problem.get("rule"), problem.get("signIn")) == (401, "P10", "/sign-in"), path
    entries = await strict.kit.rows(tables.audit_entries, outcome="refused")
    assert {entry["actor"] for entry in entries} == {"nobody"}
    assert sorted(entry["action"] for entry in entries) == sorted(GUARDS[one].action for one in GUARDED)


async def test_what_is_open_asks_for_no_session(strict: Website) -> None:
    """What then is missing is another matter."""
    for method, path in (one for one in ROUTES if GUARDS[one].deed is None):
        async with strict.client.request(method, address(path), headers=_polite({}), allow_redirects=False) as answer:
            problem = await _problem(answer)
        assert problem.get("type") != "urn:rtcc-bridge:problem:sign-in-required", path


@pytest.mark.parametrize("given", sorted(MACHINE_DEEDS))
async def test_a_program_may_what_its_token_is_for(strict: Website, given: Deed) -> None:
    headers = _polite({"Authorization": f"Bearer {await _token(strict, given)}"})
    for method, path in GUARDED:
        async with strict.client.request(method, address(path), headers=headers) as answer:
            assert (answer.status not in {401, 403}) == (GUARDS[method, path].deed is given), path


async def test_a_route_that_stands_in_no_table_is_refused_to_everybody(site: Website, monkeypatch: Any) -> None:
    reached: list[str] = []

    async def handler(_request: web.Request) -> web.Response:
        reached.append("yes")
        return web.Response()

    monkeypatch.setattr("rtcc_bridge.web.application.PAGES", (*PAGES, ("GET", "/forgotten", handler)))
    app = create_app(site.services)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        for role in Role:
            async with site.client.session.get(
                f"http://127.0.0.1:{port}/forgotten", headers=acting(role.value)
            ) as answer:
                assert answer.status == 403
    finally:
        await runner.cleanup()
    assert reached == []


ServiceCall = Callable[["Services", Account], Awaitable[object]]


class Services:
    """What calls are made on."""

    def __init__(self, site: Website, probe_id: str) -> None:
        self.kit, self.probe_id = site.kit, probe_id
        self.people, self.life = site.services.people, site.services.life
        self.provisional = site.services.provisional
        self.retention, self.reports = site.services.retention, site.services.reports
        watch = ClockWatch(site.kit.clock, "any", None, waits_after_silence=False)
        self.purge_keeper = PurgeKeeper(retention_parts(site.kit), site.kit.parts.metrics, watch)
        self.export_orders = site.services.export_orders
        self.sent_pictures = site.services.sent_pictures
        self.galleries = parts = gallery_parts(site.kit)
        self.enroller = Enroller(parts, WordPortraits(), PACK, max_picture_bytes=1, workers=1)
        withdraw, scrubber = (
            site.services.leads.withdraw_for_subject,
            SegmentScrubber(parts.database, parts.vault, parts.audit, parts.clock),
        )
        self.expunger = Expunger(parts, withdraw)
        self.retention_keeper = RetentionKeeper(parts, withdraw, scrubber, site.kit.metrics, watch)
        unused: Any = None  # there is no lead whose search could be repeated
        self.repeater = SearchRepeater(parts, unused, unused, unused, unused)

    @property
    def accounts(self) -> Any:
        assert self.people.accounts is not None
        return self.people.accounts


DEMO = ("city", GalleryKind.DEMO)
NOWHERE = "A" * 22
"""An id that names nothing."""
PROVISIONAL = ProvisionalForm("HOMICIDE", "the feed is down")
REPORT = OutcomeReport(outcome=Outcome.UNRESOLVED, investigator="somebody")
AID = AidUse(candidate_ref=NOWHERE, aid=Aid.OVERLAY)
CASE = NewCase(gallery="training", person="one", others=("another",), listed=False)

CALLS: dict[str, tuple[Deed, ServiceCall]] = {
    "ProbeDesk.attach": (
        Deed.ATTACH_STILL,
        lambda on, who: on.kit.desk.attach("incident-1", form(), who, upload()),
    ),
    "ClipDesk.attach": (Deed.ATTACH_STILL, lambda on, who: on.kit.clips.attach("incident-1", form(), who, upload())),
    "ClipDesk.open": (Deed.ATTACH_STILL, lambda on, who: on.kit.clips.open(NOWHERE, who)),
    "ClipDesk.sheet": (Deed.ATTACH_STILL, lambda on, who: on.kit.clips.sheet(NOWHERE, 1, who)),
    "ClipDesk.frame": (Deed.ATTACH_STILL, lambda on, who: on.kit.clips.frame(NOWHERE, 1, who)),
    "ClipDesk.choose": (Deed.ATTACH_STILL, lambda on, who: on.kit.clips.choose(NOWHERE, 1, who)),
    "ProbeDesk.choose_face": (Deed.CHOOSE_FACE, lambda on, who: on.kit.desk.choose_face(on.probe_id, 1, who)),
    "FaceChoice.choose": (Deed.CHOOSE_FACE, lambda on, who: on.kit.desk._choice.choose(on.probe_id, 1, who)),
    "ProbeDesk.approve": (Deed.DECIDE_SEARCH, lambda on, who: on.kit.desk.approve(on.probe_id, who)),
    "ApprovalDesk.approve": (Deed.DECIDE_SEARCH, lambda on, who: on.kit.approvals.approve(on.probe_id, who)),
    "ProbeDesk.refuse": (Deed.DECIDE_SEARCH, lambda on, who: on.kit.desk.refuse(on.probe_id, who, "no")),
    "ApprovalDesk.refuse": (Deed.DECIDE_SEARCH, lambda on, who: on.kit.approvals.refuse(on.probe_id, who, "no")),
    "ProbeDesk.preview": (Deed.SEE_PROBE, lambda on, who: on.kit.desk.preview(on.probe_id, who)),
    "StillViewer.preview": (Deed.SEE_PROBE, lambda on, who: on.kit.desk._stills.preview(on.probe_id, who)),
    "ProbeDesk.open": (Deed.SEE_PROBE, lambda on, who: on.kit.desk.open(on.probe_id, who)),
    "StillViewer.open": (Deed.SEE_PROBE, lambda on, who: on.kit.desk._stills.open(on.probe_id, who)),
    "CaseNotesDesk.open": (Deed.SEE_NOTES, lambda on, who: on.kit.desk.case_notes.open("incident-1", who)),
    "ProbeDesk.edit": (Deed.EDIT_STILL, lambda on, who: on.kit.desk.edit(on.probe_id, (), who)),
    "StillEditor.edit": (Deed.EDIT_STILL, lambda on, who: on.kit.desk._editor.edit(on.probe_id, (), who)),
    "DeferralDesk.standings": (Deed.SEE_DEFERRALS, lambda on, who: on.kit.desk.deferrals.standings(who)),
    "DeferralDesk.lift": (
        Deed.LIFT_DEFERRAL,
        lambda on, who: on.kit.desk.deferrals.lift("analyst", who, "talked about it"),
    ),
    "DeclarationDesk.declare_imminent": (
        Deed.DECLARE_IMMINENT,
        lambda on, who: on.kit.desk.declarations.declare_imminent("incident-1", who, "hostages"),
    ),
    "DeclarationDesk.attest_killing": (
        Deed.ATTEST_KILLING,
        lambda on, who: on.kit.desk.declarations.attest_killing("incident-1", who, "somebody was killed"),
    ),
    "DeclarationDesk.confirm_killing": (
        Deed.CONFIRM_KILLING,
        lambda on, who: on.kit.desk.declarations.confirm_killing("incident-1", who),
    ),
    "ProvisionalDesk.open": (Deed.OPEN_PROVISIONAL, lambda on, who: on.provisional.open(PROVISIONAL, who)),
    "ProvisionalDesk.waiting": (Deed.OPEN_PROVISIONAL, lambda on, who: on.provisional.waiting(who)),
    "ProvisionalDesk.reconcile": (
        Deed.OPEN_PROVISIONAL,
        lambda on, who: on.provisional.reconcile("incident-1", "incident-2", who),
    ),
    "LeadDesk.acknowledge": (Deed.ACKNOWLEDGE_LEAD, lambda on, who: on.kit.parts.leads.acknowledge(NOWHERE, who)),
    "ExaminationDesk.view": (Deed.EXAMINE_LEAD, lambda on, who: on.life.examination.view(NOWHERE, who)),
    "ExaminationDesk.keep": (Deed.EXAMINE_LEAD, lambda on, who: on.life.examination.keep(NOWHERE, who, Opinion())),
    "ExaminationDesk.conclude": (
        Deed.EXAMINE_LEAD,
        lambda on, who: on.life.examination.conclude(NOWHERE, who, Opinion()),
    ),
    "ExaminationDesk.use_aid": (Deed.EXAMINE_LEAD, lambda on, who: on.life.examination.use_aid(NOWHERE, who, AID)),
    "ReviewDesk.use_aid": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.use_aid(NOWHERE, who, AID)),
    "ReviewDesk.queue": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.queue(who)),
    "ReviewDesk.take": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.take(NOWHERE, who)),
    "ReviewDesk.view": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.view(NOWHERE, who)),
    "ReviewDesk.keep": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.keep(NOWHERE, who, Opinion())),
    "ReviewDesk.conclude": (Deed.REVIEW_LEAD, lambda on, who: on.life.review.conclude(NOWHERE, who, Opinion())),
    "PictureViewer.examined_still": (
        Deed.EXAMINE_LEAD,
        lambda on, who: on.life.pictures.examined_still(NOWHERE, who),
    ),
    "PictureViewer.examined_candidate": (
        Deed.EXAMINE_LEAD,
        lambda on, who: on.life.pictures.examined_candidate(NOWHERE, who, NOWHERE, 1),
    ),
    "PictureViewer.reviewed_still": (
        Deed.REVIEW_LEAD,
        lambda on, who: on.life.pictures.reviewed_still(NOWHERE, who),
    ),
    "PictureViewer.reviewed_candidate": (
        Deed.REVIEW_LEAD,
        lambda on, who: on.life.pictures.reviewed_candidate(NOWHERE, who, NOWHERE, 1),
    ),
    "PictureViewer.released_candidate": (
        Deed.RECEIVE_LEAD,
        lambda on, who: on.life.pictures.released_candidate(NOWHERE, who, NOWHERE, 1),
    ),
    "StandingDesk.of_lead": (Deed.RELEASE_LEAD, lambda on, who: on.life.standing.of_lead(NOWHERE, who)),
    "ReleaseDesk.release": (Deed.RELEASE_LEAD, lambda on, who: on.life.release.release(NOWHERE, who, ())),
    "ReleaseDesk.received": (Deed.RECEIVE_LEAD, lambda on, who: on.life.release.received(NOWHERE, who)),
    "ReleaseDesk.all_received": (Deed.RECEIVE_LEAD, lambda on, who: on.life.release.all_received(who)),
    "CorroborationDesk.report": (
        Deed.REPORT_OUTCOME,
        lambda on, who: on.life.corroboration.report(NOWHERE, who, REPORT),
    ),
    "CorroborationDesk.extend": (
        Deed.EXTEND_LEAD,
        lambda on, who: on.life.corroboration.extend(NOWHERE, who, 24, "the laboratory is late"),
    ),
    "WithdrawalDesk.withdraw": (Deed.WITHDRAW_LEAD, lambda on, who: on.life.withdrawal.withdraw(NOWHERE, who, "no")),
    "WithdrawalDesk.acknowledge": (Deed.RECEIVE_LEAD, lambda on, who: on.life.withdrawal.acknowledge(NOWHERE, who)),
    "WithdrawalDesk.answer_for": (
        Deed.ANSWER_FOR_RECEIVER,
        lambda on, who: on.life.withdrawal.answer_for(NOWHERE, NOWHERE, who, on.kit.clock.now(), "by letter"),
    ),
    "WithdrawalDesk.outstanding": (Deed.SEE_RECEIVERS, lambda on, who: on.life.withdrawal.outstanding(who)),
    "WithdrawalDesk.receivers": (Deed.SEE_RECEIVERS, lambda on, who: on.life.withdrawal.receivers(NOWHERE, who)),
    "ProficiencyDesk.seed": (Deed.SEED_CASES, lambda on, who: on.life.proficiency.seed(who, CASE)),
    "ProficiencyDesk.results": (Deed.SEED_CASES, lambda on, who: on.life.proficiency.results(who)),
    "LocalAccounts.add": (
        Deed.MANAGE_ACCOUNTS,
        lambda on, who: on.accounts.add(who, "somebody", [Role.FLOOR], "correct horse battery"),
    ),
    "LocalAccounts.every": (Deed.MANAGE_ACCOUNTS, lambda on, who: on.accounts.every(who)),
    "LocalAccounts.disable": (Deed.MANAGE_ACCOUNTS, lambda on, who: on.accounts.disable(who, "known")),
    "LocalAccounts.set_password": (
        Deed.MANAGE_ACCOUNTS,
        # Too short: whoever may not, hears nothing of passwords.
        lambda on, who: on.accounts.set_password(who, "known", "short"),
    ),
    "ServiceTokens.create": (
        Deed.MANAGE_TOKENS,
        lambda on, who: on.people.tokens.create(
            who, "program", [Deed.WATCH_FLOOR], on.kit.clock.now() + timedelta(days=1)
        ),
    ),
    "ServiceTokens.every": (Deed.MANAGE_TOKENS, lambda on, who: on.people.tokens.every(who)),
    "EarlierSearchDesk.of_probe": (Deed.SEE_EARLIER, lambda on, who: on.life.earlier.of_probe(on.probe_id, who)),
    "RetentionOverview.preview": (
        Deed.SEE_RETENTION,
        lambda on, who: on.retention.overview.preview(who, on.kit.clock.now()),
    ),
    "RetentionOverview.receipts": (Deed.SEE_RETENTION, lambda on, who: on.retention.overview.receipts(who)),
    "RetentionOverview.receipt": (Deed.SEE_RETENTION, lambda on, who: on.retention.overview.receipt(who, NOWHERE)),
    "HoldDesk.place": (
        Deed.PLACE_HOLD,
        lambda on, who: on.retention.holds.place(who, HoldOrder(case_number="none"), "the court asked"),
    ),
    "HoldDesk.lift": (Deed.LIFT_HOLD, lambda on, who: on.retention.holds.lift(who, NOWHERE, "the court asked")),
    "HoldDesk.every": (Deed.SEE_RETENTION, lambda on, who: on.retention.holds.every(who)),
    "DispositionDesk.record": (
        Deed.RECORD_DISPOSITION,
        lambda on, who: on.retention.dispositions.record(who, "none", Disposition.DISMISSAL, on.kit.clock.now().date()),
    ),
    "PurgeKeeper.purge_due": (Deed.PURGE, lambda on, who: on.purge_keeper.purge_due(who)),
    "TransparencyDesk.make": (
        Deed.MAKE_TRANSPARENCY_REPORT,
        lambda on, who: on.reports.transparency.make(who, Period.read("2024-01", "2024-01"), overlapping=True),
    ),
    "DiscoveryDesk.of_lead": (
        Deed.MAKE_DISCOVERY_PACKET,
        lambda on, who: on.reports.discovery.of_lead(
            who, NOWHERE, PacketOrder(reason="the court asked", handed_to=DEFENSE)
        ),
    ),
    "DiscoveryDesk.of_case": (
        Deed.MAKE_DISCOVERY_PACKET,
        lambda on, who: on.reports.discovery.of_case(
            who, "none", PacketOrder(reason="the court asked", handed_to=DEFENSE)
        ),
    ),
    "DisclosureOrderDesk.ask": (
        Deed.ASK_DISCLOSURE,
        lambda on, who: on.reports.disclosures.ask(who, "order 26-7", lead_id=NOWHERE),
    ),
    "DisclosureOrderDesk.approve": (
        Deed.APPROVE_DISCLOSURE,
        lambda on, who: on.reports.disclosures.approve(who, NOWHERE),
    ),
    "DisclosureOrderDesk.every": (Deed.SEE_DISCLOSURES, lambda on, who: on.reports.disclosures.every(who)),
    "AccessLogDesk.make": (
        Deed.MAKE_ACCESS_LOG,
        lambda on, who: on.reports.access_log.make(who, "live", "nobody", "the person asked"),
    ),
    "ActivityDesk.of": (Deed.SEE_OWN_ACTIVITY, lambda on, who: on.reports.activity.of(who, 7)),
    "AuditExplorer.search": (
        Deed.SEE_AUDIT_LOG,
        lambda on, who: on.reports.audit.search(who, EntryQuery(since=on.kit.clock.now(), before=on.kit.clock.now())),
    ),
    "AuditExplorer.entry": (Deed.SEE_AUDIT_LOG, lambda on, who: on.reports.audit.entry(who, NOWHERE)),
    "AuditExplorer.receipt": (Deed.SEE_AUDIT_LOG, lambda on, who: on.reports.audit.receipt(who, NOWHERE)),
    "FiguresDesk.look": (Deed.SEE_FIGURES, lambda on, who: on.reports.figures.look(who, 7)),
    "PolicyDesk.look": (Deed.SEE_POLICY, lambda on, who: on.reports.policies.look(who)),
    "PolicyDesk.compare": (
        Deed.SEE_POLICY,
        lambda on, who: on.reports.policies.compare(who, "title: none", is_earlier=True),
    ),
    "GalleryOverview.every": (Deed.SEE_GALLERIES, lambda on, who: GalleryOverview(on.galleries).every(who)),
    "GalleryOverview.one": (Deed.SEE_GALLERIES, lambda on, who: GalleryOverview(on.galleries).one(who, "city")),
    "PeopleRegister.look": (Deed.SEE_PEOPLE, lambda on, who: on.people.register.look(who)),
    "PeopleRegister.end_sessions": (
        Deed.END_SESSIONS,
        lambda on, who: on.people.register.end_sessions(who, "nobody", "left a machine open"),
    ),
    "MisuseDesk.look": (Deed.SEE_MISUSE_SIGNALS, lambda on, who: on.reports.misuse.look(who)),
    "Enroller.enroll": (
        Deed.ENROLL_PICTURES,
        lambda on, who: on.enroller.enroll(FolderSource(Path("nowhere"), **SOURCE_WORDS), *DEMO, account=who),
    ),
    "Enroller.enroll_templates": (
        Deed.ENROLL_PICTURES,
        lambda on, who: on.enroller.enroll_templates(
            *DEMO, (), total=0, provenance="", lawful_basis="", retain_until=on.kit.clock.now(), account=who
        ),
    ),
    "Expunger.expunge_subject": (
        Deed.EXPUNGE,
        lambda on, who: on.expunger.expunge_subject("city", "nobody", "the court asked", who),
    ),
    "Expunger.expunge_image": (
        Deed.EXPUNGE,
        lambda on, who: on.expunger.expunge_image("city", "00" * 32, "the court asked", who),
    ),
    "RetentionKeeper.expire": (Deed.EXPIRE_PICTURES, lambda on, who: on.retention_keeper.expire(who)),
    "SentPictureDesk.take": (
        Deed.ENROLL_PICTURES,
        lambda on, who: on.sent_pictures.take(who, "city", SENT_WORDS, upload()),
    ),
    "SentPictureDesk.newest": (Deed.ENROLL_PICTURES, lambda on, who: on.sent_pictures.newest(who, "city")),
    "GalleryExport.export": (
        Deed.EXPORT_GALLERY,
        lambda on, who: GalleryExport(on.galleries).export(
            "city", Path("nowhere"), with_pictures=True, account=who, order_id=None, on_exported=lambda *_: None
        ),
    ),
    "ExportOrderDesk.ask": (
        Deed.ASK_EXPORT,
        lambda on, who: on.export_orders.ask(who, "city", "the court asked", with_pictures=False),
    ),
    "ExportOrderDesk.approve": (Deed.APPROVE_EXPORT, lambda on, who: on.export_orders.approve(who, NOWHERE)),
    "ExportOrderDesk.every": (Deed.SEE_EXPORTS, lambda on, who: on.export_orders.every(who)),
    "SearchRepeater.repeat": (Deed.REPEAT_SEARCH, lambda on, who: on.repeater.repeat(NOWHERE, who)),
    "ServiceTokens.revoke": (Deed.MANAGE_TOKENS, lambda on, who: on.people.tokens.revoke(who, "none")),
}
"""Each call that takes the account that acts, by class and name."""


def test_every_service_call_that_takes_an_account_is_attacked_here() -> None:
    assert set(_calls_with_an_account()) == set(CALLS)


@pytest.mark.parametrize("who", [*sorted(Role), None])
async def test_a_service_call_is_open_to_the_roles_of_its_deed_and_to_no_other(site: Website, who: Role | None) -> None:
    kit, account = site.kit, NOBODY if who is None else Account(f"some-{who}", frozenset({who}), CERTIFIED)
    attached, chosen = await kit.attached("incident-1"), await kit.chosen("incident-2")
    refused = 0
    for name, (deed, call) in CALLS.items():
        probe = chosen if deed is Deed.DECIDE_SEARCH else attached
        error = await _error_of(call(Services(site, probe.probe_id), account))
        is_refused = isinstance(error, PolicyRefusalError) and str(error).startswith("Only an account with the role")
        assert is_refused is (who not in PERMITTED[deed]), (name, error)
        refused += is_refused
        entries = await kit.rows(tables.audit_entries, outcome="refused", actor=account.name)
        assert len([one for one in entries if one["entry"]["details"]["rule"] == "P10"]) == refused, name


HOSTAGES = rules.IncidentFacts("HOSTAGE", "open", exercise=False, case_number=None)
SECOND_WORDS: dict[str, tuple[Deed, Callable[[Account], None]]] = {
    "require_second_attestor": (
        Deed.CONFIRM_KILLING,
        lambda who: rules.require_second_attestor(who, attested_by="somebody"),
    ),
    "require_second_person": (
        Deed.APPROVE_EXPORT,
        lambda who: rules.require_second_person(who, asked_by="somebody"),
    ),
    "require_other_person": (
        Deed.APPROVE_DISCLOSURE,
        lambda who: disclosure.require_other_person(who, asked_by="somebody"),
    ),
    "require_watch_commander": (
        Deed.DECLARE_IMMINENT,
        lambda who: rules.require_watch_commander(policy(), who, HOSTAGES),
    ),
    "require_lift_by_another": (
        Deed.LIFT_DEFERRAL,
        lambda who: rules.require_lift_by_another(who, analyst="somebody"),
    ),
    "require_independent_approver": (
        Deed.DECIDE_SEARCH,
        lambda who: rules.require_independent_approver(who, analyst="somebody", requestor="somebody else"),
    ),
}
"""Rules that want another person than the first, and one with the role: whoever is only another one will not do."""


@pytest.mark.parametrize("name", SECOND_WORDS)
@pytest.mark.parametrize("role", sorted(Role))
def test_another_person_without_the_role_has_no_second_word(name: str, role: Role) -> None:
    deed, ask = SECOND_WORDS[name]
    account = Account(f"some-{role}", frozenset({role}), CERTIFIED)
    if role in PERMITTED[deed]:
        ask(account)
        return
    with pytest.raises(PolicyRefusalError) as refused:
        ask(account)
    assert refused.value.rule == "P10"


async def _error_of(call: Awaitable[object]) -> Exception | None:
    """What comes after the permission is other tests' matter."""
    try:
        await call
    except Exception as error:  # noqa: BLE001 - whatever comes after the permission
        return error
    return None


def address(path: str) -> str:
    """With values for its parameters that name nothing."""
    return re.sub(r"{\w+}", NOWHERE, path) + ("page.css" if path == STATIC_PREFIX else "")


async def _problem(answer: ClientResponse) -> dict[str, Any]:
    """The problem document, if it is one."""
    is_problem = answer.content_type == "application/problem+json"
    return dict(await answer.json(content_type=None)) if is_problem else {}


def _who_what_where(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["actor"], entry["action"], entry["subject"]


def _subject(guard: Guard) -> str:
    return NOWHERE if guard.subject is not None else guard.action


def _polite(headers: dict[str, str]) -> dict[str, str]:
    return {"Last-Event-ID": "no number", **headers}  # the feed would go on for ever


async def _token(site: Website, deed: Deed) -> str:
    until = site.kit.clock.now() + timedelta(days=1)
    new = await site.services.people.tokens.create(DEMO_ACCOUNTS["administrator"], "program", [deed], until)
    return new.text


def _calls_with_an_account() -> list[str]:
    """Public coroutines of the program's classes that take the acting account.

    What takes a transaction as well works within another call, which has asked.
    """
    found = []
    for module in walk_packages(rtcc_bridge.__path__, "rtcc_bridge."):
        if ".web" in module.name or module.name.startswith(("rtcc_bridge.demo", "rtcc_bridge.__main__")):
            continue
        if module.name.split(".")[1] not in {
            "people",
            "probes",
            "leads",
            "gallery",
            "incidents",
            "reports",
            "retention",
        }:
            continue
        for name, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            if kind.__module__ != module.name:
                continue
            for call, function in inspect.getmembers(kind, inspect.iscoroutinefunction):
                hints = {
                    parameter: hint for parameter, hint in get_type_hints(function).items() if parameter != "return"
                }
                if not call.startswith("_") and Account in hints.values() and Transaction not in hints.values():
                    found.append(f"{name}.{call}")
    return found
