"""Where a request may come from."""

import pytest

from rtcc_bridge.web.origins import ForeignRequestError, require_local, require_not_embedded, require_same_origin

HOST = "127.0.0.1:8080"


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
@pytest.mark.parametrize("host", ["localhost", HOST, "[::1]:80", "LocalHost:1"])
def test_this_machine_is_served(peer: str, host: str) -> None:
    require_local(peer, host, {})


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "192.168.1.7", "::2", "fe80::1%eth0", "::ffff:10.0.0.1", "", "unix", None]
)
def test_another_machine_is_refused(peer: str | None) -> None:
    with pytest.raises(ForeignRequestError):
        require_local(peer, HOST, {})


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "127.0.0.1@example.org", "127.0.0.2", "[::1", "a:b:c", "", None]
)
def test_another_name_is_refused(host: str | None) -> None:
    with pytest.raises(ForeignRequestError):
        require_local("127.0.0.1", host, {})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_needs_no_origin(method: str) -> None:
    require_same_origin(method, "http", HOST, {"Sec-Fetch-Site": "cross-site", "Origin": "null"}, cookie=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": f"http://{HOST}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"http://{HOST}"},
    ],
)
def test_the_daemons_own_page_may_change_things(headers: dict[str, str]) -> None:
    require_same_origin("POST", "http", HOST, headers, cookie=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://{HOST}"},
        {"Origin": "http://example.org"},
        {"Origin": f"https://{HOST}"},
        {"Origin": "http://127.0.0.1:9"},
        {"Origin": "null"},
        {},
    ],
)
def test_no_other_page_may(headers: dict[str, str]) -> None:
    with pytest.raises(ForeignRequestError):
        require_same_origin("POST", "http", HOST, headers, cookie=True)


def test_a_program_that_names_its_account_by_header_needs_no_origin() -> None:
    require_same_origin("POST", "http", HOST, {}, cookie=False)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_elsewhere_cannot_make_the_api_write_refusals_down(site: str) -> None:
    with pytest.raises(ForeignRequestError, match="another site"):
        require_not_embedded("/api/v1/probes/AAAA", {"Sec-Fetch-Site": site})


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_our_own_pages_and_programs_may_call_the_api(headers: dict[str, str]) -> None:
    require_not_embedded("/api/v1/incidents", headers)


def test_a_link_from_elsewhere_leads_to_a_page() -> None:
    require_not_embedded("/incidents/INC-1", {"Sec-Fetch-Site": "cross-site"})
