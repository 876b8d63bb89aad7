"""Keeps libraries from saying many times what the program says once."""

import logging


def quiet_libraries() -> None:
    """aiokafka reports every attempt to connect, many a second; the runner and the producer report an outage once.

    OpenTelemetry reports every batch of spans that the collector did not take; `telemetry.otlp` reports that once.
    """
    for name in ("aiokafka", "opentelemetry"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
