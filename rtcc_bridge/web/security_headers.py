"""The headers that every answer carries."""

from typing import Final

from aiohttp import web

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""No inline script or style, nothing from another address, no text that becomes markup (trusted types)."""

STATIC_PREFIX: Final = "/static/"


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal `on_response_prepare`, so that errors and streams have them too."""
    response.headers.update(SECURITY_HEADERS)
    caching = "no-cache" if request.path.startswith(STATIC_PREFIX) else "no-store"
    response.headers.setdefault("Cache-Control", caching)
