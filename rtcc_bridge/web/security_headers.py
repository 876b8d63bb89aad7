"""The headers that every answer carries."""

from typing import Final

from aiohttp import web

_POLICY: Final = "Content-Security-Policy"
_OWN_STYLE: Final = "style-src 'self'"

SECURITY_HEADERS: Final = {
    _POLICY: (
        f"default-src 'none'; script-src 'self'; {_OWN_STYLE}; img-src 'self' blob:; connect-src 'self'; "
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
"""No inline script, no inline style but one that is named (`INLINE_STYLE`), nothing from another address, no text that
becomes markup (trusted types)."""

INLINE_STYLE = web.RequestKey("inline_style", str)
"""Set by whoever answers with a page that is kept as one file: the hash of the one style that stands in it."""

STATIC_PREFIX: Final = "/static/"


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal `on_response_prepare`, so that errors and streams have them too."""
    response.headers.update(SECURITY_HEADERS)
    if (style := request.get(INLINE_STYLE)) is not None:
        policy = SECURITY_HEADERS[_POLICY].replace(_OWN_STYLE, f"style-src {style}")
        response.headers[_POLICY] = policy
    caching = "no-cache" if request.path.startswith(STATIC_PREFIX) else "no-store"
    response.headers.setdefault("Cache-Control", caching)
