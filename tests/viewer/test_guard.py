"""Who may ask: methods, names of this server, tokens and cookies, and what every answer says of itself."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from oaml_callbacks.viewer.guard import HEADERS, POLICY, host_of, is_loopback, own_names

from ..run_folders import write_run
from .serving import serving

TOKEN = "correct horse/battery+staple&é"
LINK = f"token={quote(TOKEN, safe='')}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("runs")
    write_run(parent)
    return parent


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A server on the loopback, which asks for nothing."""
    with serving(folder, hosts=("viewer.example",)) as address:
        yield address


@pytest.fixture(scope="module")
def locked(folder: Path) -> Iterator[str]:
    """A server that asks for a token."""
    with serving(folder, token=TOKEN) as address:
        yield address


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def raw(url: str, *lines: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is; gives the status, the headers in lower case, and the body."""
    with socket.create_connection(("127.0.0.1", port_of(url)), timeout=10) as connection:
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1"))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()


def asked_as(url: str, host: str) -> int:
    """The status for a request with such a `Host`."""
    return raw(url, "GET /data/runs HTTP/1.1", f"Host: {host}")[0]


class TestMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"])
    @pytest.mark.parametrize("path", ["", "data/runs", "api/stop", "nowhere"])
    def test_what_could_change_something_is_refused(self, url: str, method: str, path: str) -> None:
        status, headers, body = raw(url, f"{method} /{path} HTTP/1.1", "Host: localhost")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert "Nothing can be changed here" in json.loads(body)["error"]

    def test_a_body_changes_nothing(self, url: str) -> None:
        assert httpx.post(f"{url}data/runs", json={"run": "abc123"}).status_code == 405

    def test_head_is_get_without_a_body(self, url: str) -> None:
        got, head = httpx.get(f"{url}data/runs"), httpx.head(f"{url}data/runs")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == got.headers["etag"]
        assert head.headers["content-length"] == str(len(got.content))


class TestHost:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "LocalHost:1",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
        ],
    )
    def test_the_loopbacks_names_are_known(self, url: str, host: str) -> None:
        assert asked_as(url, host) == 200

    def test_a_name_that_is_allowed_is_known(self, url: str) -> None:
        assert asked_as(url, "viewer.example:8080") == 200
        assert asked_as(url, "Viewer.Example") == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evil.example.localhost",
            "viewer.example.evil.example",
            "localhost@evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "192.168.1.5:8080",
            "[::2]",
            "[fe80::1]:8080",
            "::1",
            "2130706433",
            "",
            "localhost,evil.example",
            "\xe9vil.example",
        ],
    )
    def test_any_other_name_is_refused_as_rebinding_would_use_it(self, url: str, host: str) -> None:
        status, _, body = raw(url, "GET /data/runs HTTP/1.1", f"Host: {host}")
        assert (status == 421 and b"isn't known by that name" in body) or (status == 400 and not host.isascii())
        assert b"abc123" not in body

    def test_a_request_without_a_name_is_refused(self, url: str) -> None:
        assert raw(url, "GET /data/runs HTTP/1.0")[0] == 421

    def test_the_name_in_the_first_line_does_not_count(self, url: str) -> None:
        assert raw(url, "GET http://localhost/data/runs HTTP/1.1", "Host: evil.example")[0] == 421

    def test_with_a_token_any_address_in_numbers_is_known_but_no_other_name(self, locked: str) -> None:
        for host, status in (("192.168.1.5:8080", 403), ("[fe80::1]:8080", 403), ("evil.example", 421)):
            assert asked_as(locked, host) == status

    def test_a_token_makes_no_unknown_name_known(self, locked: str) -> None:
        assert raw(locked, f"GET /?{LINK} HTTP/1.1", "Host: evil.example")[0] == 421


class TestHeaders:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("", 200),
            ("viewer.html?run=abc123", 200),
            ("source.js", 200),
            ("data/runs", 200),
            ("data/run?run=gone", 404),
            ("picture?run=abc123&path=gone.png", 404),
            ("nowhere", 404),
            ("a/b/c", 404),
            ("favicon.ico", 308),
        ],
    )
    def test_every_answer_has_them(self, url: str, path: str, status: int) -> None:
        answer = httpx.get(url + path)
        assert answer.status_code == status
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]

    def test_refusals_have_them(self, url: str, locked: str) -> None:
        answers = [
            httpx.post(url),
            httpx.get(url, headers={"Host": "evil.example"}),
            httpx.get(locked),
            httpx.get(f"{locked}?{LINK}"),
        ]
        assert [answer.status_code for answer in answers] == [405, 421, 403, 303]
        for answer in answers:
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS

    def test_an_answer_that_nothing_has_changed_has_them(self, url: str) -> None:
        tag = httpx.get(f"{url}source.js").headers["etag"]
        answer = httpx.get(f"{url}source.js", headers={"If-None-Match": tag})
        assert answer.status_code == 304
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS

    def test_scripts_come_from_the_server_alone(self) -> None:
        rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self'"
        assert rules["connect-src"] == "'self'"
        assert [rules[name] for name in ("base-uri", "form-action", "frame-ancestors")] == ["'none'"] * 3
        assert "unsafe-eval" not in POLICY
        assert "http" not in POLICY

    def test_a_page_is_neither_framed_nor_sniffed_nor_named_to_others(self, url: str) -> None:
        headers = httpx.get(url).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"

    def test_no_other_site_may_read(self, url: str) -> None:
        answer = httpx.get(f"{url}data/runs", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


class TestToken:
    @pytest.mark.parametrize(
        "path", ["", "viewer.html", "data/runs", "picture?run=abc123&path=a.png", "nowhere", "base.css"]
    )
    def test_without_it_nothing_is_shown(self, locked: str, path: str) -> None:
        answer = httpx.get(locked + path)
        assert answer.status_code == 403
        assert "A token is needed" in answer.json()["error"]
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        "query",
        ["token=", "token=wrong", f"token={TOKEN[:-1]}", f"Token={quote(TOKEN)}", "token=%ff%ed%a0%80", "token=é"],
    )
    def test_a_wrong_one_is_refused(self, locked: str, query: str) -> None:
        answer = httpx.get(f"{locked}?{query}")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers

    def test_one_in_bytes_beyond_ascii_is_refused_too(self, locked: str) -> None:
        status, _, _ = raw(locked, "GET /?token=\xe9\xff HTTP/1.1", "Host: localhost")
        assert status in (400, 403)

    @pytest.mark.parametrize(
        ("asked", "place"),
        [
            (f"/?{LINK}", "/"),
            (f"/viewer.html?run=abc123&{LINK}&sample=5", "/viewer.html?run=abc123&sample=5"),
            (f"/viewer.html?{LINK}&run=a%2Fb%26c&empty=", "/viewer.html?run=a%2Fb%26c&empty="),
            (f"/data/runs?token=wrong&{LINK}", "/data/runs"),
        ],
    )
    def test_the_right_one_leads_to_the_same_place_without_it(self, locked: str, asked: str, place: str) -> None:
        status, headers, _ = raw(locked, f"GET {asked} HTTP/1.1", "Host: localhost")
        assert (status, headers["location"]) == (303, place)

    @pytest.mark.parametrize(
        "path",
        [
            "//evil.example/x",
            "///evil.example",
            "/%2fevil.example",
            "/%5cevil.example",
            "/\\evil.example",
            "/%09/evil.example",
            "/%0d%0aX-Evil:1",
            "http://evil.example/x",
        ],
    )
    def test_it_leads_to_no_other_place(self, locked: str, path: str) -> None:
        status, headers, _ = raw(locked, f"GET {path}?{LINK} HTTP/1.1", "Host: localhost")
        assert status == 303
        assert headers["location"].startswith("/")
        assert headers["location"][1:2] not in ("/", "\\", "\t")
        assert "x-evil" not in headers

    def test_a_cookie_lets_in_from_then_on(self, locked: str) -> None:
        with httpx.Client(base_url=locked) as client:
            assert client.get("data/runs").status_code == 403
            answer = client.get(f"viewer.html?run=abc123&{LINK}", follow_redirects=True)
            assert (answer.status_code, str(answer.url)) == (200, f"{locked}viewer.html?run=abc123")
            assert client.get("data/runs").json()["runs"][0]["key"] == "abc123"

    def test_the_cookie_is_for_this_server_alone_and_for_no_script(self, locked: str) -> None:
        answer = httpx.get(f"{locked}?{LINK}")
        (cookie,) = answer.headers.get_list("set-cookie")
        name, _, rest = cookie.partition("=")
        assert name == f"oaml_viewer_{port_of(locked)}"
        attributes = [part.strip().lower() for part in rest.split(";")[1:]]
        assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
        assert not [one for one in attributes if one.startswith("domain")]

    def test_the_token_is_not_in_the_cookie(self, locked: str) -> None:
        (cookie,) = httpx.get(f"{locked}?{LINK}").headers.get_list("set-cookie")
        assert TOKEN not in cookie
        assert quote(TOKEN, safe="") not in cookie
        assert "horse" not in cookie

    @pytest.mark.parametrize("value", ["", "wrong", TOKEN.replace("é", ""), "0" * 64, "\xe9", '"\\351"'])
    def test_a_wrong_cookie_is_refused(self, locked: str, value: str) -> None:
        name = f"oaml_viewer_{port_of(locked)}"
        status, _, _ = raw(locked, "GET / HTTP/1.1", "Host: localhost", f"Cookie: {name}={value}")
        assert status == 403

    def test_the_cookie_of_another_server_is_refused(self, folder: Path, locked: str) -> None:
        """Browsers send it all the same: to them ports are one host."""
        with serving(folder, token="another token entirely") as other:
            answer = httpx.get(f"{other}?token=another+token+entirely")
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        assert name != f"oaml_viewer_{port_of(locked)}"
        for sent in (name, f"oaml_viewer_{port_of(locked)}"):
            assert httpx.get(locked, headers={"Cookie": f"{sent}={value}"}).status_code == 403

    def test_a_wrong_token_beside_a_right_cookie_changes_nothing(self, locked: str) -> None:
        with httpx.Client(base_url=locked) as client:
            client.get(f"?{LINK}")
            assert client.get("data/runs?token=wrong").status_code == 200

    def test_without_a_token_of_its_own_the_server_takes_none(self, url: str) -> None:
        answer = httpx.get(f"{url}?{LINK}")
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        (" Host.Example:80 ", "host.example"),
        ("[::1]:8080", "::1"),
        ("[::1", "::1"),
        ("::1", ""),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_host_of_a_header_has_no_port(header: str, host: str) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_the_loopback_is_known_by_its_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "localhost.example.com", "", "127.1"])
def test_everything_else_is_taken_for_reachable(host: str) -> None:
    assert not is_loopback(host)


def test_a_server_for_other_machines_is_known_by_this_machines_names() -> None:
    assert {"0.0.0.0", "localhost", socket.gethostname()} <= own_names("0.0.0.0")
    assert own_names("localhost") == {"localhost", "127.0.0.1", "::1"}
