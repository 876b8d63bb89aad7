"""A page as a PDF, by WeasyPrint, which is loaded when one is asked for: it comes with the extra `reports`."""

import threading
from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem

_REMEDY: Final = (
    "Install the extra `reports` (pip install 'rtcc-bridge[reports]') and Pango (Debian: libpango-1.0-0 "
    "libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core), or ask for HTML or CSV"
)
_ONE_AT_A_TIME: Final = threading.Lock()
"""Fonts are shared by all pages of the process, and one page takes a second of one core."""


def pdf(html: str) -> bytes:
    """Nothing is fetched for it, whatever the page names. Blocks (seconds). Raises ConfigurationError."""
    try:
        from weasyprint import HTML  # noqa: PLC0415 - an extra, and half a second
        from weasyprint.urls import URLFetcher  # noqa: PLC0415 - an extra, and half a second
    except (ImportError, OSError) as error:  # OSError: a library of the system is missing
        problem = ConfigurationProblem("reports", f"PDFs cannot be made here ({error})", _REMEDY)
        raise ConfigurationError(problem) from error
    with _ONE_AT_A_TIME:
        made: bytes = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=())).write_pdf()
    return made
