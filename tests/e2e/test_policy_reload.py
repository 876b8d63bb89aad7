"""SIGHUP has a running daemon read its policy again: a good one decides from then on, a bad one changes nothing."""

import re
import signal

import aiohttp
import pytest

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.policy.policy_file import load_policy
from tests.e2e.calls import until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.policy_kit import write_policy

pytestmark = pytest.mark.once


async def test_a_daemon_takes_a_new_policy_and_refuses_what_is_none(
    enrolled_place: Place, http: aiohttp.ClientSession
) -> None:
    place = enrolled_place
    file, today = place.folder / "policy.yaml", SystemClock().now().date()
    write_policy(file, today, days=100)
    place.changes["policy"] = {"file": str(file)}

    async def told(name: str) -> float:
        async with http.get(f"{place.address}/metrics") as answer:
            (line,) = re.findall(rf"^rtcc_bridge_{re.escape(name)} (\S+)$", await answer.text(), re.MULTILINE)
        return float(line)

    async def is_told(name: str, value: float) -> bool:
        return await told(name) == value

    async with running_daemon(place.settings_file, place.address, place.log) as daemon:
        assert await told("policy_expires_timestamp_seconds") == load_policy(file).expires_at.timestamp()
        good = load_policy(write_policy(file, today, days=50))
        daemon.send_signal(signal.SIGHUP)
        await until(lambda: is_told("policy_expires_timestamp_seconds", good.expires_at.timestamp()))
        assert await told('policy_reloads_total{outcome="taken"}') == 1
        file.write_text("purposes: [")
        daemon.send_signal(signal.SIGHUP)
        await until(lambda: is_told('policy_reloads_total{outcome="refused"}', 1))
        assert await told("policy_expires_timestamp_seconds") == good.expires_at.timestamp()
        assert daemon.returncode is None
    assert "the one before stays in force" in place.log.read_text()
