"""How many analysts can soon begin no new work."""

from datetime import datetime, timedelta

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.certificate_texts import certificates_to_json
from rtcc_bridge.people.expiring import CertificateWatch, expiring
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind, default_certificates
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import PersonRecord
from tests.doubles import ManualClock
from tests.probe_kit import in_force, policy

NEEDED = default_certificates()


def person(name: str, now: datetime, days: float, role: Role = Role.ANALYST) -> Account:
    """Whose first certificate ends in so many days."""
    held = {kind.value: Certificate(now) for kind in CertificateKind}
    held[CertificateKind.IMPLICIT_BIAS] = Certificate(now - timedelta(days=9), now + timedelta(days=days))
    return Account(name, frozenset({role}), held)


def test_each_is_counted_by_the_first_certificate_that_ends(clock: ManualClock) -> None:
    now = clock.now()
    known = [person(str(days), now, days) for days in (-1, 0, 6, 8, 29, 31, 89, 91)]
    assert expiring(known, NEEDED, now) == {"0": 2, "7": 3, "30": 5, "90": 7}


def test_the_policy_s_days_count_as_well(clock: ManualClock) -> None:
    now, most = clock.now(), timedelta(days=NEEDED[CertificateKind.YEARLY_REFRESHER].valid_days)
    held = {kind.value: Certificate(now - most + timedelta(days=20)) for kind in CertificateKind}
    assert expiring([Account("anna", frozenset({Role.ANALYST}), held)], NEEDED, now) == {
        "0": 0, "7": 0, "30": 1, "90": 1,
    }  # fmt: skip


def test_whoever_never_took_a_course_counts_as_ended_and_others_do_not_count(clock: ManualClock) -> None:
    now = clock.now()
    known = [Account("untrained", frozenset({Role.ANALYST})), person("supervisor", now, -1, Role.SUPERVISOR)]
    assert expiring(known, NEEDED, now) == dict.fromkeys(("0", "7", "30", "90"), 1)


async def test_the_metric_says_so_of_those_who_still_work_here(
    database: Database, clock: ManualClock, metrics: Metrics
) -> None:
    now = clock.now()
    async with database.write() as tx:
        for account, seen_at in ((person("anna", now, 20), now), (person("left", now, -1), now - timedelta(days=36))):
            record = PersonRecord(
                person=account.name,
                roles=sorted(account.roles),
                certificates=certificates_to_json(account.certificates),
                seen_at=seen_at,
            )
            await people.put_person(tx, record)
    await CertificateWatch(database, clock, metrics, in_force(policy())).look()
    told = {
        days: metrics.registry.get_sample_value("rtcc_bridge_certificates_expiring", {"days": days})
        for days in ("0", "7", "30", "90")
    }
    assert told == {"0": 0, "7": 0, "30": 1, "90": 1}
