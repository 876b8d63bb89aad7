"""An id that begins with a hyphen is an argument and no option."""

import click
import pytest

from rtcc_bridge.commands import audit, gallery, report, retention, tokens
from rtcc_bridge.commands.options import TakesId

HYPHENED = ("-h0123456789abcdefghiJ", "--config_-0123456789_-")
COMMANDS = [
    (audit.receipt, "lead"),
    (gallery.repeat, "lead_id"),
    (report.discovery, "lead"),
    (retention.receipts, "probe_or_lead"),
    (retention.release_hold, "hold_id"),
    (tokens.revoke, "token_id"),
]
DEMANDED = ("--reason", "--office", "--receiver", "--to")


@pytest.mark.parametrize("own_id", HYPHENED)
@pytest.mark.parametrize(("command", "argument"), COMMANDS, ids=str)
def test_an_id_may_begin_with_a_hyphen(command: click.Command, argument: str, own_id: str) -> None:
    assert isinstance(command, TakesId)
    known = {option for parameter in command.params for option in parameter.opts}
    given = [word for option in DEMANDED if option in known for word in (option, "x")]
    context = command.make_context("command", [*given, own_id, "--config", "settings.yaml"])
    assert context.params[argument] == own_id
    assert str(context.params["config"]) == "settings.yaml"


@pytest.mark.parametrize("given", [("--order", HYPHENED[0], "lead"), ("lead", "--order", HYPHENED[0])])
def test_an_id_behind_an_option_is_the_option_s(given: tuple[str, ...]) -> None:
    context = report.discovery.make_context("command", [*given, *(w for option in DEMANDED for w in (option, "x"))])
    assert (context.params["order"], context.params["lead"]) == (HYPHENED[0], "lead")


@pytest.mark.parametrize("given", [("--", HYPHENED[0]), ("--config", "settings.yaml", "--", HYPHENED[0])])
def test_an_id_that_is_said_to_be_no_option_is_none(given: tuple[str, ...]) -> None:
    assert tokens.revoke.make_context("command", list(given)).params["token_id"] == HYPHENED[0]
