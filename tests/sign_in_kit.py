"""A site outside the demo, the proxy in front of it, and a browser that a person signs in with."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import ClientResponse, ClientSession, DummyCookieJar, web
from yarl import URL

from tests.website import Website

HOST: Final = "rtcc.example.org"
HOME: Final = f"https://{HOST}"
ROLES: Final = {
    "fusion-analysts": "analyst",
    "watch-commanders": "supervisor",
    "floor": "floor",
    "oversight": "administrator",
    "auditors": "auditor",
    "it": "operations",
    "detectives": "requestor",
}
IDENTITY: Final[Mapping[str, Any]] = {
    "client_id": "rtcc-bridge",
    "client_secret": "a secret of the tests: with/odd+signs",
    "person_claim": "employee",
    "roles_claim": "groups",
    "roles": ROLES,
    "certificates_claim": "training",
}
FORWARDED: Final = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
"""What the proxy that ends TLS says of each request."""
NAVIGATION: Final = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
}
LOADS_ITSELF: Final = {"Accept": "text/html", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Browser:
    """Keeps the cookies of our site and of the provider apart, and follows no redirect by itself."""

    http: ClientSession
    site: str
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[SimpleCookie] = field(default_factory=list)

    async def ask(
        self, address: str, method: str = "GET", headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> ClientResponse:
        """address: a path of our site, its public name, or an address of the provider. The body is read."""
        parts = urlsplit(address)
        ours = parts.netloc in {"", HOST}
        place = "ours" if ours else parts.netloc
        sent = {**(headers if headers is not None else NAVIGATION), **(FORWARDED if ours else {})}
        jar = self.cookies.setdefault(place, {})
        if jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        url = URL(
            f"{self.site}{parts.path}{'?' + parts.query if parts.query else ''}" if ours else address, encoded=True
        )
        async with self.http.request(method, url, headers=sent, allow_redirects=False, **arguments) as answer:
            await answer.read()
        for name, cookie in answer.cookies.items():
            self.seen.append(SimpleCookie(cookie.OutputString()))
            if cookie.value and cookie["max-age"] != 0 and cookie["max-age"] != "0":
                jar[name] = cookie.value
            else:
                jar.pop(name, None)
        return answer

    async def post(self, path: str, body: Any = None, **fields: str) -> ClientResponse:
        """A form, or JSON, that one of our own pages sends."""
        headers = {"Origin": HOME, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Accept": "text/html"}
        return await self.ask(path, "POST", headers, **({"data": fields} if body is None else {"json": body}))

    async def api(self, path: str, **headers: str) -> ClientResponse:
        return await self.ask(
            f"/api/v1{path}", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"} | headers
        )

    @property
    def session(self) -> str | None:
        return self.cookies.get("ours", {}).get("__Host-rtcc_session")


@asynccontextmanager
async def browser(site: Website) -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Browser(http, site.address)


@asynccontextmanager
async def ingress(port: int, target: str) -> AsyncIterator[None]:
    """The proxy, for those who cannot say themselves what it says: the provider that ends sessions."""

    async def forward(request: web.Request) -> web.Response:
        headers = {"Content-Type": request.headers.get("Content-Type", ""), **FORWARDED}
        async with (
            ClientSession() as http,
            http.request(
                request.method, f"{target}{request.path_qs}", data=await request.read(), headers=headers
            ) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def hidden_field(page: str, name: str) -> str:
    """The value of a hidden field of a form."""
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]
