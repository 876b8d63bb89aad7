"""Keeps libraries from saying many times what the program says once."""

import logging


def quiet_libraries() -> None:
    """aiokafka reports every attempt to connect, many a second; the runner and the producer report an outage once."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
