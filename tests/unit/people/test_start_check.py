"""What stands in the way of sign-in is said before anybody is served, with what to do."""

from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.people.start_check import sign_in_problems
from rtcc_bridge.settings import Settings

IDENTITY = {"issuer": "https://i.example.org", "client_id": "c", "client_secret": "s", "roles": {"a": "analyst"}}
WEB = {"host": "0.0.0.0", "public_url": "https://rtcc.example.org", "trusted_proxies": ["10.0.0.0/8"]}


def problems(web: dict[str, Any] | None = None, identity: dict[str, Any] | None = None, **more: Any) -> dict[str, str]:
    settings = Settings(**{"profile": "production", "web": web or {}, "identity": identity or {}, **more})
    return {problem.path: str(problem) for problem in sign_in_problems(settings)}


def test_nothing_stands_in_the_way_when_all_is_said() -> None:
    assert problems(WEB, IDENTITY) == {}
    assert problems({"public_url": "https://rtcc.example.org"}, IDENTITY) == {}  # a proxy on this machine
    assert problems(profile="demo") == {}


@pytest.mark.parametrize(
    ("web", "identity", "path"),
    [
        (WEB, {}, "identity.issuer"),
        ({**WEB, "public_url": None}, IDENTITY, "web.public_url"),
        ({**WEB, "public_url": "http://rtcc.example.org"}, IDENTITY, "web.public_url"),
        ({**WEB, "trusted_proxies": []}, IDENTITY, "web.trusted_proxies"),
        (WEB, {**IDENTITY, "ca_file": "/nowhere/ca.pem"}, "identity.ca_file"),
        (
            WEB,
            {name: value for name, value in IDENTITY.items() if name != "client_secret"}
            | {"client_secret_file": "/nowhere/secret"},
            "identity.client_secret_file",
        ),
    ],
)
def test_what_is_missing_is_named(web: dict[str, Any], identity: dict[str, Any], path: str) -> None:
    assert list(problems(web, identity)) == [path]


def test_a_demo_that_names_a_provider_has_to_say_where_it_sends_people_back() -> None:
    assert list(problems(identity=IDENTITY, profile="demo")) == ["web.public_url"]


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("the secret")
    file.chmod(0o644)
    identity = {name: value for name, value in IDENTITY.items() if name != "client_secret"}
    found = problems(WEB, identity | {"client_secret_file": str(file)})
    assert "chmod 0600" in found["identity.client_secret_file"]
    assert "the secret" not in str(found)
