"""Investigative face leads for a Real-Time Crime Center."""

__version__ = "0.1.0"
