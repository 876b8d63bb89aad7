"""`rtcc-bridge policy`."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from rtcc_bridge.app.policy_replay import open_policy_replay
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_FAILED, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.policy.opening import ADMINISTRATOR_KEY_SETTING, CITY_KEY_SETTING, PolicyFiles, open_policy
from rtcc_bridge.policy.policy_diff import differences
from rtcc_bridge.policy.policy_file import Policy, load_policy
from rtcc_bridge.policy.policy_signatures import Signer, sign_policy, signature_file_of
from rtcc_bridge.probes.policy_replay import Judged, ReplayReport
from rtcc_bridge.settings import load_settings

_FILE = click.Path(dir_okay=False, path_type=Path)
_policy_argument = click.argument("file", type=_FILE)
_signatures_option = click.option("--signatures", type=_FILE, help="The signature file; FILE.signatures by default.")


@click.group()
def policy() -> None:
    """The policy file, which the administrator and the city sign."""


@policy.command("sign")
@_policy_argument
@click.option("--as", "signer", type=click.Choice([each.value for each in Signer]), required=True, help="Who signs.")
@click.option("--key", type=_FILE, required=True, help="The private key: Ed25519, PEM, readable by nobody else.")
@_signatures_option
@tells_errors
def sign(file: Path, signer: str, key: Path, signatures: Path | None) -> None:
    """Sign the policy FILE. Each of the two signs with a key of their own; any later change of FILE ends both.

    The second one is given the policy and the signature file of the first. Compare the hash that is printed: it is the
    same for both.
    """
    place = signatures or signature_file_of(file)
    signed = sign_policy(file, Signer(signer), key, signatures=place, now=SystemClock().now())
    click.echo(f"signed as {signer} with the key {signed.signatures[Signer(signer)].public_key}: {place}")
    click.echo(f"policy hash {signed.policy_hash}")
    if missing := [each.value for each in Signer if each not in signed.signatures]:
        click.echo(f"still to sign: {', '.join(missing)}")


@policy.command("verify")
@_policy_argument
@config_option
@_signatures_option
@click.option("--administrator-key", type=_FILE, help=f"The public key; {ADMINISTRATOR_KEY_SETTING} by default.")
@click.option("--city-key", type=_FILE, help=f"The public key; {CITY_KEY_SETTING} by default.")
@tells_errors
def verify(
    file: Path, config: Path | None, signatures: Path | None, administrator_key: Path | None, city_key: Path | None
) -> None:
    """Verify that the policy FILE is signed by both and in date, as `serve` does outside the demo."""
    named = load_settings(config).policy
    files = PolicyFiles(
        file, signatures, administrator_key or named.administrator_key_file, city_key or named.city_key_file
    )
    try:
        opened = open_policy(files, demo=False, now=SystemClock().now())
    except ConfigurationError as error:
        click.echo(f"BAD: {error}", err=True)
        sys.exit(EXIT_FAILED)
    found = opened.policy
    click.echo(f"good: {found.title}, from {found.valid_from} until {found.valid_until}, hash {found.hash}")


@policy.command("diff")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@config_option
@click.option("--replay", "replaying", is_flag=True, help="Judge the past searches in the database by both as well.")
@tells_errors
def diff(old: Path, new: Path, config: Path | None, replaying: bool) -> None:
    """Tell what NEW says otherwise than OLD, field by field, whether or not they are signed.

    --replay judges every past search, and every attempt that was refused, by both: which of them NEW would refuse, and
    which it would allow. Incidents and alerts count as they stand now. Nothing is changed.
    """
    before, after = load_policy(old), load_policy(new)
    found = differences(before, after)
    for line in found:
        click.echo(line)
    if not found:
        click.echo("they say the same" if before.hash != after.hash else "they are the same file")
    if replaying:
        asyncio.run(_replay(config, before, after))


async def _replay(config: Path | None, before: Policy, after: Policy) -> None:
    async with open_policy_replay(load_settings(config), ACTOR, before.hash, after.hash) as replay:
        report = await replay.judge(before, after)
    _tell(report)


def _tell(report: ReplayReport) -> None:
    click.echo()
    click.echo(f"past searches: {report.searches}, refused attempts that can be judged: {report.attempts}")
    for words, judged in (
        ("NEW refuses what OLD allows", report.refused_by_new),
        ("NEW allows what OLD refuses", report.allowed_by_new),
    ):
        click.echo(f"{words}: {len(judged)}")
        for rule in sorted({one.rule for one in judged}):
            _tell_rule(rule, [one for one in judged if one.rule == rule])
    click.echo(f"both decide alike: {report.alike}")
    if report.unknown:
        click.echo(f"not judged, since their incident is not known: {report.unknown}")


def _tell_rule(rule: str, judged: Sequence[Judged]) -> None:
    click.echo(f"  {rule}: {len(judged)}")
    for one in judged:
        click.echo(f"    {one.kind} {one.reference}: {one.reason}")
