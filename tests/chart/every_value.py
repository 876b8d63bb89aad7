"""Every value of the chart, marked: a text or a number that stands nowhere else, so that it is found where it goes.

Values that shut each other out cannot be marked together, so there are several scenarios. What cannot bear a mark (a
choice from a list, a switch, a number with a bound) is changed alone.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

from scripts.generate_chart_reference import Value, read_values
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Rendered, helm, render_anew

FIRST_MARK: Final = 40_001
"""From here on a number is a port that could be, and in no file of the chart."""

TRACES: Final = {"tracing": {"endpoint": "https://collector.example.org:4318/v1/traces"}}
PEOPLE: Final = {
    "profile": "production",
    "identity": {"issuer": "https://login.example.org", "client_id": "rtcc", "roles": {"analysts": "analyst"}},
}
OUTSIDE: Final = {
    "audit": {
        "outside_url": "s3://city/rtcc-audit",
        "witness_url": "https://witness.example.org",
        "witness_key": "witness+0123abcd+a2V5",
    }
}
AUTHORITIES_IN_MAPS: Final = {"*.ca.secret": "", "kafka.token.endpoint": "", "objects.transit.url": ""}
NO_OTHER_PROCESS: Final[Mapping[str, Any]] = {
    path: value
    for role in ("web", "consumer", "matcher", "relay")
    for path, value in ((f"{role}.replicas", None), (f"{role}.settings", {}))
}
ONE_NODE: Final = {
    **AUTHORITIES_IN_MAPS,
    **NO_OTHER_PROCESS,
    "database.type": "sqlite",
    "objects.type": "folder",
    "objects.url": "",
    "objects.ledgerUrl": "",
    "objects.galleryKey": "shared",
    "secrets.galleryKey.secret": "",
    "secrets.evaluationPublicKey.secret": "",
    "policy.existingConfigMap": "",
    "web.replicas": None,
}

SCENARIOS: Final[Mapping[str, Mapping[str, Any]]] = {
    "passwords, a fixed number of pods": {
        **AUTHORITIES_IN_MAPS,
        "single.settings": {},
        "policy.existingConfigMap": "",
        "packs.volume.existingClaim": "",
        "auditJournal.volume.existingClaim": "",
        "secrets.evaluationPublicKey.secret": "",
        "image.*.digest": "",
        "matcher.gpu.enabled": True,
        "topics.job": "check",
        "tools.enabled": True,
        "monitoring.*.enabled": True,
        "monitoring.serviceMonitor.enabled": False,
        "fullnameOverride": "",
        "secrets.kafka*.secret": "",
    },
    "tokens, a key service, everything from outside": {
        "*.ca.configMap": "",
        "single.settings": {},
        "settings": {**TRACES, **PEOPLE},
        "policy.content": "",
        "policy.signatures": "",
        "kafka.authentication": "token",
        "objects.keys": "transit",
        "externalSecrets.enabled": True,
        "secrets.*ecret": "",
        "web.autoscaling.enabled": True,
        "web.replicas": None,
        "web.expose.enabled": True,
        "web.expose.gateway.enabled": True,
        "matcher.gpu.enabled": True,
        "topics.job": "create",
        "monitoring.serviceMonitor.enabled": True,
    },
    "certificates, matchers by lag": {
        "*.ca.secret": "",
        "single.settings": {},
        "policy.content": "",
        "policy.signatures": "",
        "kafka.authentication": "certificate",
        "kafka.token.endpoint": "",
        "objects.keys": "transit",
        "objects.transit.earlierMasterKey": True,
        "matcher.autoscaling.enabled": True,
        "matcher.autoscaling.minReplicas": 3,
        "matcher.autoscaling.maxReplicas": 5,
        "settings": {**TRACES, **PEOPLE, **OUTSIDE, "kafka": {"topics": {"partitions": 12}}},
        "matcher.replicas": None,
        "web.expose.enabled": True,
        "web.expose.ingress.enabled": True,
        "tools.enabled": True,
    },
    "tokens, objects in a folder": {
        "*.ca.secret": "",
        "single.settings": {},
        "policy.existingConfigMap": "",
        "kafka.authentication": "token",
        "objects.transit.url": "",
        "objects.type": "folder",
        "objects.url": "",
        "objects.ledgerUrl": "",
        "objects.volume.existingClaim": "",
        "secrets.evaluationPublicKey.secret": "",
        "serviceAccount.create": False,
        "tools.enabled": True,
    },
    "one node": {**ONE_NODE, "*.volume.existingClaim": "", "matcher.gpu.enabled": True},
    "one node with a certificate, whose volumes are there": {
        **ONE_NODE,
        "kafka.authentication": "certificate",
        "settings": TRACES,
    },
}
"""What each fixes, by path or pattern; of two that fit, the later counts. All other values are marked."""

ALONE: Final = {
    "operations.startSeconds": "it is rendered as a number of tries",
    "matcher.autoscaling.minReplicas": "a topic's partitions are a bound",
    "matcher.autoscaling.maxReplicas": "a topic's partitions are a bound",
}
"""Numbers that cannot bear a mark, and why."""


@dataclass(frozen=True)
class Leaf:
    """A value that has none below it. mark: the number that its marked value holds."""

    path: str
    schema: Mapping[str, Any]
    default: Any
    mark: int

    @property
    def is_changed_alone(self) -> bool:
        kinds = self.schema.get("type", ())
        return "enum" in self.schema or kinds == "boolean" or "maximum" in self.schema or self.path in ALONE

    @property
    def marked(self) -> Any:
        return _marked(self.schema, self.mark)

    def others(self, present: Any) -> dict[str, Any]:
        """What it may be instead, where it is changed alone, by words for it."""
        if "enum" in self.schema:
            return {repr(one): one for one in self.schema["enum"] if one != present}
        return {repr(not present): not present} if isinstance(present, bool) else {"another number": present + 5}


def _leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    for value in values:
        yield from (value,) if value.children is None else _leaves(value.children)


LEAVES: Final = tuple(
    Leaf(value.path, value.schema, value.default, number)
    for number, value in enumerate(
        _leaves(read_values((CHART / "values.yaml").read_text(encoding="utf-8"))), FIRST_MARK
    )
)


def _marked(schema: Mapping[str, Any], number: int) -> Any:
    text = f"m{number}"
    match schema:
        case {"allOf": [{"$ref": str(reference)}]}:
            return {
                "Settings": {"kafka": {"type_mapping": {text: text}}},
                "Resources": {"limits": {text: text}},
                "Peers": [{"podSelector": {"matchLabels": {text: text}}}],
                "Ports": [number],
            }[reference.removeprefix("#/$defs/")]
        case {"type": "array", "items": items}:
            return [_marked(items, number)]
        case {"type": "object"} | {"additionalProperties": _}:
            return {text: text}
        case {"pattern": str(pattern)}:
            shapes = (text, f"{text}:9093", f"https://{text}", f"s3://{text}", f"sha256:{number:064}", f"::/{number}")
            return next(shape for shape in shapes if re.search(pattern, shape))
        case {"type": "string"}:
            return text
        case _:
            return number


def chosen(scenario: str) -> dict[str, Any]:
    """Each value of the scenario, by its path."""
    found = {leaf.path: leaf.default if leaf.is_changed_alone else leaf.marked for leaf in LEAVES}
    for pattern, value in SCENARIOS[scenario].items():
        fitting = [path for path in found if fnmatchcase(path, pattern)]
        assert fitting, f"{pattern} fits no value"
        found |= dict.fromkeys(fitting, value)
    return found


def write(values: Mapping[str, Any], file: Path) -> str:
    """The option that gives Helm these values."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *above, name = path.split(".")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[name] = value
    file.write_text(json.dumps(tree), encoding="utf-8")
    return f"--values={file}"


@cache
def rendered(scenario: str, folder: Path) -> Rendered:
    return render_anew(write(chosen(scenario), folder / "values.json"))


def text_of(values: Mapping[str, Any], folder: Path) -> str | None:
    """What Helm renders, unread; None where it refuses the values."""
    done = helm("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", write(values, folder / "values.json"))
    return done.stdout if done.returncode == 0 else None


@cache
def scenario_text(scenario: str, folder: Path) -> str:
    text = text_of(chosen(scenario), folder)
    assert text is not None, f"the scenario {scenario!r} is refused"
    return text
