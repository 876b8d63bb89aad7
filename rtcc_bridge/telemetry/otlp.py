"""Spans in OpenTelemetry's form, sent in the background with OTLP over HTTP. The one module that imports it.

Nothing here is global: no provider is set, no library is instrumented, and no text of an error gets into a span.
"""

import secrets
import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from requests import Response, Session

from rtcc_bridge import __version__
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.telemetry.span_losses import NOT_SENT, QUEUE_FULL, SpanLosses
from rtcc_bridge.telemetry.traceparent import is_sampled, span_id_of, trace_id_of
from rtcc_bridge.telemetry.tracing import Facts, Kind, Span
from rtcc_bridge.tracing_settings import TracingSettings

_SENT_AT_ONCE: Final = 512
_SENT_EVERY_SECONDS: Final = 2.0

ATTRIBUTES: Final = {
    "incident_id": "rtcc_bridge.incident_id",
    "probe_id": "rtcc_bridge.probe_id",
    "lead_id": "rtcc_bridge.lead_id",
    "lane": "rtcc_bridge.lane",
    "batch_size": "rtcc_bridge.batch_size",
    "topic": "messaging.destination.name",
    "partition": "messaging.destination.partition.id",
    "offset": "messaging.kafka.offset",
}
"""The attribute of each fact; those that OpenTelemetry's semantic conventions name have their names."""
ERROR_TYPE: Final = "error.type"
REFUSED: Final = "rtcc_bridge.refused"

_KINDS: Final = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CONSUMER: trace.SpanKind.CONSUMER,
    Kind.PRODUCER: trace.SpanKind.PRODUCER,
}


class OtlpTracer:
    """Sends spans to the collector that the settings name. What finds no place in the queue is dropped."""

    def __init__(self, settings: TracingSettings, roles: Sequence[str], losses: SpanLosses) -> None:
        assert settings.endpoint is not None
        connection = _Connection()
        sending = OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=None if settings.ca_file is None else str(settings.ca_file),
            timeout=settings.timeout_seconds,
            session=connection,
        )
        self._ratio = settings.sample_ratio
        self._key = secrets.token_bytes(16)
        attributes = {SERVICE_NAME: "rtcc-bridge", SERVICE_VERSION: __version__, "rtcc_bridge.roles": list(roles)}
        queue = _Queue(settings.queue_size, losses)
        self._exporter = _TellingOnce(sending, connection, settings.endpoint, queue)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=Resource.create(attributes),
            shutdown_on_exit=False,  # it would wait for the collector once more
        )
        self._provider.add_span_processor(
            _Counted(
                queue,
                self._exporter,
                max_queue_size=settings.queue_size,
                max_export_batch_size=min(_SENT_AT_ONCE, settings.queue_size),
                schedule_delay_millis=_SENT_EVERY_SECONDS * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("rtcc_bridge", __version__)

    @property
    def is_told_to_fail(self) -> bool:
        """Whether the log says already that the collector does not take spans."""
        return self._exporter.is_failing

    def records(self, trace_id: str) -> bool:
        """As `tracing.Tracer.records`. The key keeps a sender from choosing ids that are drawn."""
        drawn = blake2b(bytes.fromhex(trace_id), digest_size=8, key=self._key).digest()
        return int.from_bytes(drawn, "big") < self._ratio * 2**64

    def start(
        self,
        name: str,
        parent: str | None,
        kind: Kind,
        links: Sequence[str],
        facts: Facts,
        started_at_ns: int | None = None,
    ) -> Span:
        """As `tracing.Tracer.start`."""
        context = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(_span_context(parent))
        )
        return _OtlpSpan(
            self._tracer.start_span(
                name,
                context,
                _KINDS[kind],
                _attributes(facts),
                [trace.Link(_span_context(link)) for link in links],
                started_at_ns,
            )
        )

    def close(self) -> None:
        """Sends what waits. Blocks as long as the collector lets it wait."""
        self._provider.shutdown()


class _OtlpSpan:
    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        sampled = int(context.trace_flags.sampled)
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"

    def note(self, facts: Facts) -> None:
        self._span.set_attributes(_attributes(facts))

    def link(self, traceparent: str) -> None:
        self._span.add_link(_span_context(traceparent))

    def fail(self, error_type: str) -> None:
        self._span.set_attribute(ERROR_TYPE, error_type)
        self._span.set_status(trace.StatusCode.ERROR)

    def refuse(self, reason: str) -> None:
        self._span.set_attribute(REFUSED, reason)

    def end(self) -> None:
        self._span.end()


class _Connection(Session):
    """The exporter's own HTTP client, which remembers why a request failed: the exporter does not say it to anybody."""

    failure = "it could not be asked"

    def request(self, *arguments: Any, **named: Any) -> Response:
        try:
            answer = super().request(*arguments, **named)
        except Exception as error:  # Remembered, whatever it is, and raised again.
            self.failure = _innermost(error)
            raise
        self.failure = f"it answered {answer.status_code} {answer.reason}"
        return answer


def _innermost(error: BaseException) -> str:
    """What was at the bottom of it; the texts further out repeat the address and the client's own words."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__


class _Queue:
    """How many spans wait in the processor's queue, whose oldest give way when it is full: nobody else tells."""

    def __init__(self, size: int, losses: SpanLosses) -> None:
        self._size = size
        self._losses = losses
        self._waiting = 0
        self._lock = threading.Lock()

    def entered(self) -> None:
        with self._lock:
            if self._waiting < self._size:
                self._waiting += 1
                return
        self._losses.add(QUEUE_FULL, 1)

    def left(self, spans: int) -> None:
        with self._lock:
            self._waiting -= spans

    def lost(self, spans: int) -> None:
        """They had left, and nobody took them."""
        self._losses.add(NOT_SENT, spans)


class _Counted(BatchSpanProcessor):
    """Counts what enters its queue."""

    def __init__(self, queue: _Queue, exporter: SpanExporter, **limits: Any) -> None:
        super().__init__(exporter, **limits)
        self._counted = queue

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._counted.entered()
        super().on_end(span)


class _TellingOnce(SpanExporter):
    """Tells an outage of the collector once when it begins and once when it ends. Called in the exporter's thread."""

    def __init__(self, exporter: SpanExporter, connection: _Connection, endpoint: str, queue: _Queue) -> None:
        self._exporter = exporter
        self._connection = connection
        self._endpoint = endpoint
        self._queue = queue
        self._outage = OutageLog("sending traces")
        self.is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._queue.left(len(spans))
        result = self._exporter.export(spans)
        self.is_failing = result is not SpanExportResult.SUCCESS
        if self.is_failing:
            self._queue.lost(len(spans))
            why = self._connection.failure
            self._outage.failed(UnavailableError(f"{self._endpoint} takes no spans, so they are lost: {why}"))
        else:
            self._outage.succeeded()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _span_context(traceparent: str) -> trace.SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if is_sampled(traceparent) else trace.TraceFlags.DEFAULT)
    trace_id, span_id = int(trace_id_of(traceparent), 16), int(span_id_of(traceparent), 16)
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


def _attributes(facts: Facts) -> dict[str, str | int]:
    """Partitions are names there, not numbers."""
    return {
        ATTRIBUTES[name]: str(value) if name == "partition" else value  # type: ignore[misc]  # values are str or int
        for name, value in facts.items()
    }
