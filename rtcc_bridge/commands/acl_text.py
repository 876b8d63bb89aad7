"""Writes the table of grants for those who give the rights: as commands, or as JSON for a program."""

import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

from rtcc_bridge.broker.grants import CLUSTER, EVERY, PARTIES, Grant


def as_commands(table: Sequence[Grant], prefix: str, bootstrap: str) -> Iterator[str]:
    """Lines for a shell: Apache Kafka's own kafka-acls.sh, with the rights of an administrator in admin.properties."""
    for party, own in groupby(table, key=lambda grant: grant.party):
        yield f"# {prefix}{party}: {PARTIES[party]}"
        for grant in own:
            name, pattern = _pattern(grant)
            words = [
                "kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add",
                "--allow-principal", f"{prefix}{party}", *(f"--operation={each}" for each in grant.operations),
                *(["--cluster"] if grant.kind == CLUSTER else [f"--{grant.kind}", name]),
            ]  # fmt: skip
            yield shlex.join(words + (["--resource-pattern-type", pattern] if pattern == "prefixed" else []))


def as_json(table: Sequence[Grant], prefix: str) -> str:
    """A list of single rights, with the words of Kafka's admin API."""
    rights = [
        {
            "principal": f"{prefix}{grant.party}",
            "host": "*",
            "resourceType": grant.kind.upper(),
            "resourceName": name,
            "patternType": pattern.upper(),
            "operation": operation,
            "permissionType": "ALLOW",
        }
        for grant in table
        for name, pattern in (_pattern(grant),)
        for operation in grant.operations
    ]
    return json.dumps(rights, indent=2)


def _pattern(grant: Grant) -> tuple[str, str]:
    """Kafka takes * for every one only where it is no pattern."""
    if grant.name == EVERY:
        return EVERY, "literal"
    return (grant.name[:-1], "prefixed") if grant.name.endswith("*") else (grant.name, "literal")
