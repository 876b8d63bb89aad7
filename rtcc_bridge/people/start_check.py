"""What the web needs so that people can sign in, asked before it serves anybody."""

from collections.abc import Iterator

from rtcc_bridge.broker.credentials import authority_context
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.people.provider import client_secret
from rtcc_bridge.settings import Settings


def sign_in_problems(settings: Settings) -> Iterator[ConfigurationProblem]:
    """All that stands in the way outside the demo, and in a demo that names a provider. Blocks; asks nobody."""
    identity, web = settings.identity, settings.web
    if settings.profile == "demo" and identity.issuer is None:
        return
    if identity.issuer is None:
        yield ConfigurationProblem(
            "identity.issuer",
            "is not set, and outside the demo people sign in with an identity provider alone",
            "Name it with client, secret and roles (docs/sign-in.md), or set profile to demo on a machine for trials",
        )
        return
    if settings.profile != "demo" and (web.public_url is None or not web.public_url.startswith("https://")):
        yield ConfigurationProblem(
            "web.public_url",
            "is not an https:// address, and a session's cookie is never sent without TLS",
            "Set the address that people type; a proxy in front of the daemon ends TLS",
        )
    if web.public_url is None and settings.profile == "demo":
        yield ConfigurationProblem(
            "web.public_url",
            "is not set, and the identity provider has to know where it sends people back",
            "Set http://127.0.0.1:PORT with the port of web.port",
        )
    if not web.is_loopback and not web.trusted_proxies:
        yield ConfigurationProblem(
            "web.trusted_proxies",
            f"is empty, and web.host {web.host} is reached from elsewhere, so nobody would be served",
            "Name the networks of the proxies that end TLS, or bind to 127.0.0.1 beside a proxy on this machine",
        )
    try:
        if not client_secret(identity):
            yield ConfigurationProblem(
                "identity.client_secret_file", "holds nothing", "Put the client's secret into it"
            )
        authority_context("identity.ca_file", identity.ca_file)
    except ConfigurationError as error:
        yield from error.problems


def require_sign_in(settings: Settings) -> None:
    """Blocks. Raises ConfigurationError."""
    if problems := tuple(sign_in_problems(settings)):
        raise ConfigurationError(*problems)
