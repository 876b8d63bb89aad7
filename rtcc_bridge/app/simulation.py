"""Wires the simulated dispatch and alerting systems."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import Simulator


@asynccontextmanager
async def open_simulator(
    kafka: KafkaSettings, *, seed: int = 0, exercise: bool = False, threat_share: float = 0.02
) -> AsyncIterator[Simulator]:
    """A simulator that is connected to the broker when it first publishes."""
    async with EventProducer(kafka) as producer:
        yield Simulator(producer, kafka.topics, SystemClock(), seed=seed, exercise=exercise, threat_share=threat_share)
