"""How many analysts can soon begin no new work."""

from datetime import datetime, timedelta
from typing import Any

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.expiring import CertificateWatch, expiring
from rtcc_bridge.policy.certificates import REQUIRED_CERTIFICATES
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import PersonRecord
from tests.doubles import ManualClock


def person(
    name: str, now: datetime, days: float, roles: tuple[str, ...] = ("analyst",), **changes: Any
) -> PersonRecord:
    """Whose first certificate ends in so many days."""
    held = {one: rfc3339(now + timedelta(days=400)) for one in REQUIRED_CERTIFICATES}
    held[REQUIRED_CERTIFICATES[1]] = rfc3339(now + timedelta(days=days))
    values: dict[str, Any] = {"person": name, "roles": roles, "certificates": held, "seen_at": now}
    return PersonRecord(**values | changes)


def test_each_is_counted_by_the_first_certificate_that_ends(clock: ManualClock) -> None:
    now = clock.now()
    known = [person(str(days), now, days) for days in (-1, 0, 6, 8, 29, 31, 89, 91)]
    assert expiring(known, now) == {"0": 2, "7": 3, "30": 5, "90": 7}


def test_whoever_never_took_a_course_counts_as_ended_and_others_do_not_count(clock: ManualClock) -> None:
    now = clock.now()
    known = [
        person("untrained", now, 400, certificates={}),
        person("supervisor", now, -1, ("supervisor",)),
        person("left", now, -1, seen_at=now - timedelta(days=36)),
    ]
    assert expiring(known, now) == dict.fromkeys(("0", "7", "30", "90"), 1)


async def test_the_metric_says_so(database: Database, clock: ManualClock, metrics: Metrics) -> None:
    async with database.write() as tx:
        await people.put_person(tx, person("anna", clock.now(), 20))
    await CertificateWatch(database, clock, metrics).look()
    told = {
        days: metrics.registry.get_sample_value("rtcc_bridge_certificates_expiring", {"days": days})
        for days in ("0", "7", "30", "90")
    }
    assert told == {"0": 0, "7": 0, "30": 1, "90": 1}
