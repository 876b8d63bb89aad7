"""Policies in files of a test's own, the two who sign them, and a process's core under one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.clock import Clock
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.opening import OpenedPolicy, PolicyFiles, open_policy
from rtcc_bridge.policy.policy_file import Policy, load_policy
from rtcc_bridge.policy.policy_signatures import Signer, sign_policy, signature_file_of
from rtcc_bridge.settings import ObjectSettings, Settings, load_settings
from rtcc_bridge.storage.master_keys import LocalMasterKeys
from tests.probe_kit import POLICY_FILE, ProbeKit
from tests.signing_keys import KeyPair, key_pair

Change = Callable[[dict[str, Any]], None]


def unchanged(_content: dict[str, Any]) -> None:
    """The shipped policy as it is."""


def write_policy(file: Path, today: date, change: Change = unchanged, *, days: int = 100) -> Path:
    """The shipped policy, in date for so many days from today on, with whatever the test changes in it."""
    content: dict[str, Any] = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    content |= {"valid_from": today, "valid_until": today + timedelta(days=days - 1)}
    change(content)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@dataclass(frozen=True)
class SignedPolicy:
    """A policy file with the keys of its two signers. Each act is one of theirs, or of somebody who should not."""

    file: Path
    clock: Clock
    keys: dict[Signer, KeyPair]

    @classmethod
    def make(cls, folder: Path, clock: Clock) -> "SignedPolicy":
        """In date from the clock's day on, and signed by nobody yet."""
        keys = {signer: key_pair(folder / "keys" / signer) for signer in Signer}
        made = cls(folder / "policy.yaml", clock, keys)
        made.write()
        return made

    @property
    def signatures(self) -> Path:
        return signature_file_of(self.file)

    @property
    def files(self) -> PolicyFiles:
        keys = self.keys
        return PolicyFiles(self.file, None, keys[Signer.ADMINISTRATOR].public, keys[Signer.CITY].public)

    @property
    def policy(self) -> Policy:
        return load_policy(self.file)

    def write(self, change: Change = unchanged, *, days: int = 100) -> None:
        write_policy(self.file, self.clock.now().date(), change, days=days)

    def sign(self, *signers: Signer) -> None:
        """By both when none is named."""
        for signer in signers or tuple(Signer):
            key = self.keys[signer].private
            sign_policy(self.file, signer, key, signatures=self.signatures, now=self.clock.now())

    def opened(self, *, demo: bool = False) -> OpenedPolicy:
        return open_policy(self.files, demo=demo, now=self.clock.now())

    def settings(self, folder: Path, *, profile: str) -> Settings:
        """Of a process that has this policy and keeps all else in the folder."""
        files = self.files
        return load_settings(
            None,
            profile=profile,
            policy={
                "file": str(files.policy),
                "administrator_key_file": str(files.administrator_key),
                "city_key_file": str(files.city_key),
            },
            database={"url": f"sqlite+aiosqlite:///{folder / 'floor.sqlite3'}"},
            objects={"url": (folder / "objects").as_uri(), "master_key_file": str(folder / "master.key")},
            matching={"packs_directory": str(folder / "packs")},
        )


async def put_in_force(kit: ProbeKit, opened: OpenedPolicy) -> None:
    """As a reload does, for every part of the kit at once."""
    (await kit.parts.policy_in_force.prepared(opened))()


def core_of(kit: ProbeKit, settings: Settings, in_force: PolicyInForce) -> Core:
    """What a process has that works with the kit's database, clock and metrics."""
    parts = kit.parts
    key_file = kit.objects.parent / "master.key"
    master_keys = LocalMasterKeys.load(ObjectSettings(master_key_file=key_file), may_create=True)
    return Core(
        settings,
        parts.clock,
        parts.metrics,
        parts.database,
        master_keys,
        kit.vault,
        in_force,
        parts.outbox,
        parts.audit,
        parts.leads,
        parts.authority_keys,
        None,
    )
