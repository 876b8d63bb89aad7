"""Spans in OpenTelemetry's form, sent in the background with OTLP over HTTP. The one module that imports it.

Nothing here is global: no provider is set, no library is instrumented, and no text of an error gets into a span.
"""

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from rtcc_bridge import __version__
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.outage_log import OutageLog
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

_KINDS: Final = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CONSUMER: trace.SpanKind.CONSUMER,
    Kind.PRODUCER: trace.SpanKind.PRODUCER,
}


class OtlpTracer:
    """Sends spans to the collector that the settings name. What finds no place in the queue is dropped."""

    def __init__(self, settings: TracingSettings, roles: Sequence[str]) -> None:
        assert settings.endpoint is not None
        sending = OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=None if settings.ca_file is None else str(settings.ca_file),
            timeout=settings.timeout_seconds,
        )
        attributes = {SERVICE_NAME: "rtcc-bridge", SERVICE_VERSION: __version__, "rtcc_bridge.roles": list(roles)}
        self._exporter = _TellingOnce(sending, settings.endpoint)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=Resource.create(attributes),
            shutdown_on_exit=False,  # it would wait for the collector once more
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
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

    def end(self) -> None:
        self._span.end()


class _TellingOnce(SpanExporter):
    """Tells an outage of the collector once when it begins and once when it ends. Called in the exporter's thread."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._outage = OutageLog("sending traces")
        self.is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self.is_failing = result is not SpanExportResult.SUCCESS
        if self.is_failing:
            self._outage.failed(UnavailableError(f"{self._endpoint} does not take them: spans are lost meanwhile"))
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
