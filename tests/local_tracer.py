"""A tracer that keeps its spans here, for what is decided before OpenTelemetry is asked."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from rtcc_bridge.telemetry.traceparent import is_sampled, trace_id_of
from rtcc_bridge.telemetry.tracing import Facts, Kind


@dataclass
class LocalSpan:
    name: str
    parent: str | None
    traceparent: str
    links: list[str]
    facts: Facts
    kind: Kind
    failure: str | None = None
    refusal: str | None = None
    ended: bool = False

    def note(self, facts: Facts) -> None:
        self.facts.update(facts)

    def link(self, traceparent: str) -> None:
        self.links.append(traceparent)

    def fail(self, error_type: str) -> None:
        self.failure = error_type

    def refuse(self, reason: str) -> None:
        self.refusal = reason

    def end(self) -> None:
        self.ended = True


@dataclass
class LocalTracer:
    spans: list[LocalSpan] = field(default_factory=list)

    def start(
        self,
        name: str,
        parent: str | None,
        kind: Kind,
        links: Sequence[str],
        facts: Facts,
        started_at_ns: int | None = None,
    ) -> LocalSpan:
        trace_id = secrets.token_hex(16) if parent is None else trace_id_of(parent)
        flag = "01" if parent is None or is_sampled(parent) else "00"
        traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-{flag}"
        made = LocalSpan(name, parent, traceparent, list(links), facts, kind)
        self.spans.append(made)
        return made

    def records(self, trace_id: str) -> bool:
        return True
