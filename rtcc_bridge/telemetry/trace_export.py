"""Switches traces on for as long as a process works, if they are wanted."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.telemetry import tracing
from rtcc_bridge.telemetry.span_losses import SpanLosses
from rtcc_bridge.tracing_settings import TracingSettings

if TYPE_CHECKING:
    from rtcc_bridge.telemetry.otlp import OtlpTracer

FLUSH_SECONDS: Final = 2.0
"""So long the last spans have to leave at the end, within what `process.shutdown_seconds` leaves."""

_log: Final = structlog.get_logger(__name__)


def trace_export_problems(settings: TracingSettings) -> Iterator[ConfigurationProblem]:
    """Why traces could not be sent from here. Without traces nothing is asked, or imported."""
    if settings.endpoint is None:
        return
    try:
        _tracer_class()
    except ModuleNotFoundError as error:
        yield ConfigurationProblem(
            "tracing.endpoint",
            f"traces are wanted, and {error.name} is missing",
            "pip install 'rtcc-bridge[tracing]', or leave the endpoint out",
        )
    if settings.ca_file is not None and not settings.ca_file.is_file():
        yield ConfigurationProblem("tracing.ca_file", f"{settings.ca_file} is no file", "Name a PEM file")


@asynccontextmanager
async def exporting_traces(settings: TracingSettings, roles: Sequence[str]) -> AsyncIterator[SpanLosses]:
    """Traces are on inside, if the settings name a collector. Raises ConfigurationError.

    At the end the last spans have FLUSH_SECONDS to leave; what has not left then is lost.
    """
    if problems := tuple(trace_export_problems(settings)):
        raise ConfigurationError(*problems)
    losses = SpanLosses()
    if settings.endpoint is None or _is_disabled():
        yield losses
        return
    tracer = _tracer_class()(settings, roles, losses)
    tracing.use(tracer)
    _log.info("traces are sent", endpoint=settings.endpoint, sample_ratio=settings.sample_ratio)
    try:
        yield losses
    finally:
        tracing.use(None)
        await _close(tracer)


def _is_disabled() -> bool:
    """Whether OpenTelemetry's own switch is set. Its spans have no places then, and none may be written."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled:
        _log.warning("no traces are sent, since OTEL_SDK_DISABLED is set")
    return disabled


def _tracer_class() -> "type[OtlpTracer]":
    from rtcc_bridge.telemetry.otlp import OtlpTracer  # noqa: PLC0415 - its packages are an extra

    return OtlpTracer


async def _close(tracer: "OtlpTracer") -> None:
    """In a thread that a collector which does not answer may keep: it ends with the process at the latest."""
    closed, loop = asyncio.Event(), asyncio.get_running_loop()

    def close() -> None:
        tracer.close()
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=close, name="last traces", daemon=True).start()
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await closed.wait()
    except TimeoutError:
        if not tracer.is_told_to_fail:
            _log.warning("the last traces were not sent in time", seconds=FLUSH_SECONDS)
