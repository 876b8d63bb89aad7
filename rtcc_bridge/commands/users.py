"""`rtcc-bridge users`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rtcc_bridge.app.people import open_people
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import OPERATOR, config_option
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.people.certificate_texts import certificate_of
from rtcc_bridge.people.local_accounts import LocalAccounts
from rtcc_bridge.policy.accounts import Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_CERTIFICATES: Final = click.Choice([kind.value for kind in CertificateKind])
_Result = TypeVar("_Result")


class _Span(click.ParamType[Certificate]):
    """When a certificate was issued, and where it says so when it ends."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Certificate:
        found = certificate_of(value)
        if found is None:
            self.fail(f"{value!r} names no day of issue: write 2027-01-31, or 2027-01-31/2028-01-30.", param, ctx)
        return found


password_option = click.option(
    "--password-stdin", is_flag=True, help="Take the first line of standard input, instead of asking at the terminal."
)


@click.group()
def users() -> None:
    """Local accounts, which only the demo profile has. Elsewhere people are in the identity provider."""


@users.command()
@click.argument("login")
@config_option
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([role.value for role in Role]))
@click.option("--person", help="The one id of the person, where somebody has two accounts; LOGIN without it.")
@click.option(
    "--certificate", "certificates", multiple=True, type=(_CERTIFICATES, _Span()),
    metavar="NAME ISSUED[/LAST]", help="A certificate: the day of its issue, and its last day where it names one.",
)  # fmt: skip
@password_option
@tells_errors
def add(
    login: str,
    config: Path | None,
    roles: tuple[str, ...],
    person: str | None,
    certificates: tuple[tuple[str, Certificate], ...],
    password_stdin: bool,
) -> None:
    """Add an account. Its password is asked for; it is never an argument, which others could read."""
    password = _password(password_stdin)
    wanted, held = [Role(role) for role in roles], dict(certificates)
    _run(config, lambda accounts: accounts.add(OPERATOR, login, wanted, password, person=person, certificates=held))
    click.echo(f"account {login} added")


@users.command("list")
@config_option
@tells_errors
def list_accounts(config: Path | None) -> None:
    """List the accounts: roles, person, and whether each is locked or disabled."""
    for record in _run(config, lambda accounts: accounts.every(OPERATOR)):
        state = (
            "disabled" if record.disabled_at else f"locked until {record.locked_until}" if record.locked_until else ""
        )
        click.echo(f"{record.login}  {', '.join(record.roles)}  person {record.person}  {state}".rstrip())
        for name, span in sorted(record.certificates.items()):
            issued, _, until = span.partition("/")
            click.echo(f"  {name} issued {issued}{f', until {until}' if until else ''}")


@users.command()
@click.argument("login")
@config_option
@tells_errors
def disable(login: str, config: Path | None) -> None:
    """Disable an account; its sessions end with the next request of each."""
    ended = _run(config, lambda accounts: accounts.disable(OPERATOR, login))
    click.echo(f"account {login} disabled, {ended} sessions ended")


@users.command()
@click.argument("login")
@config_option
@password_option
@tells_errors
def password(login: str, config: Path | None, password_stdin: bool) -> None:
    """Give an account another password. That unlocks it and ends its sessions."""
    new = _password(password_stdin)
    ended = _run(config, lambda accounts: accounts.set_password(OPERATOR, login, new))
    click.echo(f"password of {login} changed, {ended} sessions ended")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _run(config: Path | None, do: Callable[[LocalAccounts], Awaitable[_Result]]) -> _Result:
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> _Result:
        async with open_people(settings) as people:
            if people.accounts is None:
                raise PolicyRefusalError(
                    "P29", "Local accounts exist in the demo profile only: use the identity provider."
                )
            return await do(people.accounts)

    return asyncio.run(run())
