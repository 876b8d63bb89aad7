"""Whom the system may ask to examine a lead: analysts who still work here, with every certificate in date."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import pytest

from rtcc_bridge.people.certificate_texts import certificates_to_json
from rtcc_bridge.people.known import GONE_AFTER, KnownExaminers, known_people
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import PersonRecord
from tests.doubles import ManualClock
from tests.probe_kit import CERTIFIED, in_force, policy

YESTERDAY = timedelta(days=1)


async def seen(
    database: Database,
    person: str,
    at: datetime,
    roles: Collection[Role] = (Role.ANALYST,),
    certificates: Mapping[str, Certificate] = CERTIFIED,
) -> None:
    async with database.write() as tx:
        record = PersonRecord(
            person=person, roles=sorted(roles), certificates=certificates_to_json(certificates), seen_at=at
        )
        await people.put_person(tx, record)


async def asked(database: Database, clock: ManualClock, *demo_accounts: Account) -> dict[str, Account]:
    examiners = KnownExaminers(clock, in_force(policy()), demo_accounts)
    async with database.read() as tx:
        return {account.name: account for account in await examiners.everybody(tx)}


async def test_whoever_has_signed_in_as_an_analyst_is_asked(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    await seen(database, "e-1", now - YESTERDAY)
    await seen(database, "e-2", now, [Role.SUPERVISOR])
    await seen(database, "e-3", now - GONE_AFTER)
    found = await asked(database, clock)
    assert set(found) == {"e-1"}
    assert found["e-1"].certificates == CERTIFIED


@pytest.mark.parametrize("kind", CertificateKind)
async def test_nobody_is_asked_without_each_certificate(
    database: Database, clock: ManualClock, kind: CertificateKind
) -> None:
    held = {name: one for name, one in CERTIFIED.items() if name != kind}
    await seen(database, "never", clock.now(), certificates=held)
    await seen(
        database,
        "over",
        clock.now(),
        certificates={**held, kind.value: Certificate(clock.now() - YESTERDAY, clock.now())},
    )
    assert await asked(database, clock) == {}


async def test_the_demo_s_analysts_are_asked_where_accounts_can_be_taken(
    database: Database, clock: ManualClock
) -> None:
    assert set(await asked(database, clock, *DEMO_ACCOUNTS.values())) == {"analyst", "reviewer", "examiner"}
    await seen(database, "reviewer", clock.now(), [Role.FLOOR])
    assert set(await asked(database, clock, *DEMO_ACCOUNTS.values())) == {"analyst", "examiner"}


async def test_nobody_is_asked_for_whom_the_provider_does_not_answer_any_more(
    database: Database, clock: ManualClock
) -> None:
    await seen(database, "e-1", clock.now())
    await seen(database, "reviewer", clock.now())
    async with database.write() as tx:
        await people.stop_asking(tx, "e-1", clock.now())
        await people.stop_asking(tx, "reviewer", clock.now())
    assert set(await asked(database, clock, *DEMO_ACCOUNTS.values())) == {"analyst", "examiner"}
    examiners = KnownExaminers(clock, in_force(policy()), ())
    async with database.read() as tx:
        assert not await examiners.may_finish(tx, "e-1")
        known = {one.name for one in await known_people(tx, clock.now())}
    assert known == {"e-1", "reviewer"}, "whose certificates end is told all the same"
    await seen(database, "e-1", clock.now())
    assert "e-1" in await asked(database, clock)


async def test_what_is_begun_may_be_finished_without_certificates(database: Database, clock: ManualClock) -> None:
    await seen(database, "e-1", clock.now(), certificates={})
    await seen(database, "e-2", clock.now(), [Role.FLOOR])
    examiners = KnownExaminers(clock, in_force(policy()), ())
    async with database.read() as tx:
        assert await examiners.everybody(tx) == []
        assert [await examiners.may_finish(tx, person) for person in ("e-1", "e-2", "e-3")] == [True, False, False]
