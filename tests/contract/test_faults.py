"""Answers that the real server never gives: other servers, proxies and broken lines between."""

import http.server
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from eventsource_operator.argo.errors import (
    Decision,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    RedirectRefused,
    ServerError,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from eventsource_operator.argo.protocol import event_request
from tests.contract.conftest import Connect
from tests.support.fake_argo import FakeArgo, Reply

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<html><body>Welcome</body></html>"


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 405, 500])
def test_html_is_not_the_argo_servers(fake: FakeArgo, connect: Connect, status: int) -> None:
    """Above all with 200: a path outside of the API is answered so by the real server's user interface."""
    fake.always = Reply(status, b"" if status == 204 else PAGE, HTML)
    client = connect(fake.url, "good")
    for send in (lambda: client.receive_event("ns", body={}), lambda: client.page("ns")):
        with pytest.raises(Unavailable, match=r"not the Argo Server's \(text/html") as caught:
            send()
        assert (caught.value.status, caught.value.decision) == (status, Decision.TRANSIENT)


@pytest.mark.parametrize(
    "body", [b"", b'{"metadata": {"resou', b'{"a": 1}', b"[]", b"null", b'{"items": {}}']
)
def test_half_a_json_or_another_one_is_no_listing(fake: FakeArgo, connect: Connect, body: bytes) -> None:
    fake.always = Reply(200, body)
    with pytest.raises(Unavailable):
        connect(fake.url, "good").page("ns")


@pytest.mark.parametrize("body", [b"", b"{", b'{"code": 13, "mess'])
def test_half_a_json_is_no_acknowledgement(fake: FakeArgo, connect: Connect, body: bytes) -> None:
    client = connect(fake.url, "good")
    for status in (200, 500):
        fake.always = Reply(status, body)
        with pytest.raises(Unavailable):
            client.receive_event("ns", body={})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (413, TooLarge),
        (429, Overloaded),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_statuses_that_mean_the_same_whoever_answers(
    fake: FakeArgo, connect: Connect, status: int, kind: type[Exception]
) -> None:
    fake.always = Reply(status, PAGE, HTML)
    with pytest.raises(kind):
        connect(fake.url, "good").receive_event("ns", body={})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"code": 5, "message": "Not Found"}', NotFound),
        (409, b'{"code": 6, "message": "exists"}', Invalid),
        (500, b'{"code": 13, "message": "etcdserver: request timed out"}', ServerError),
        (500, b'{"code": 2, "error": "older gateways call it so"}', ServerError),
        (408, b'{"code": 1, "message": "context canceled"}', Unavailable),
    ],
)
def test_other_answers_of_the_gateway(
    fake: FakeArgo, connect: Connect, status: int, body: bytes, kind: type[Exception]
) -> None:
    fake.always = Reply(status, body)
    with pytest.raises(kind):
        connect(fake.url, "good").receive_event("ns", body={})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused_and_told_without_path(fake: FakeArgo, connect: Connect, status: int) -> None:
    with FakeArgo({"good": ("*",)}) as other:
        fake.always = Reply(status, b"", {"Location": f"{other.url}/login?state=secret"})
        client = connect(fake.url, "good")
        for send in (lambda: client.receive_event("ns", body={}), lambda: client.page("ns")):
            with pytest.raises(RedirectRefused) as caught:
                send()
            assert other.url in caught.value.message
            assert "final address" in caught.value.message
            assert "login" not in caught.value.message
        assert other.seen == []


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_wait_that_a_server_asks_for(fake: FakeArgo, connect: Connect, form: str) -> None:
    value = "7" if form == "seconds" else formatdate(time.time() + 7, usegmt=True)
    fake.always = Reply(503, b"", {"Retry-After": value})
    with pytest.raises(Unavailable) as caught:
        connect(fake.url, "good").receive_event("ns", body={})
    assert caught.value.retry_after is not None
    assert 4 <= caught.value.retry_after <= 7


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
)
def test_a_line_that_breaks_is_unreachable(fake: FakeArgo, connect: Connect, raw: bytes) -> None:
    fake.always = Reply(raw=raw)
    with pytest.raises(Unreachable) as caught:
        connect(fake.url, "good").receive_event("ns", body={})
    assert not caught.value.timeout


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n"])
def test_what_is_no_http_is_transient(fake: FakeArgo, connect: Connect, raw: bytes) -> None:
    fake.always = Reply(raw=raw)
    with pytest.raises((Unreachable, Unavailable)) as caught:
        connect(fake.url, "good").receive_event("ns", body={})
    assert caught.value.decision is Decision.TRANSIENT


def test_a_post_is_never_repeated_by_the_transport(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, "good")
    assert client.receive_event("ns", body={}) == {}
    fake.always = Reply(raw=b"")
    with pytest.raises(Unreachable):
        client.receive_event("ns", body={})
    assert len(fake.seen) == 2


def test_no_answer_is_a_timeout(fake: FakeArgo, connect: Connect) -> None:
    fake.always = Reply(hold=True)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s") as caught:
        connect(fake.url, "good", timeout=0.3).receive_event("ns", body={})
    assert caught.value.timeout
    assert time.monotonic() - started < 3


def test_a_server_that_sends_for_ever_is_a_timeout_too(fake: FakeArgo, connect: Connect) -> None:
    """Each byte comes in time, the whole does not: the bound is on the whole request."""
    fake.always = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b" " * 900, gap=0.02)
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        connect(fake.url, "good", timeout=2).receive_event("ns", body={})
    assert caught.value.timeout
    assert time.monotonic() - started < 8


def test_an_answer_that_is_too_long_is_cut_off(fake: FakeArgo, connect: Connect) -> None:
    fake.always = Reply(200, b'"' + b"x" * (3 << 20) + b'"')
    with pytest.raises(Unavailable):
        connect(fake.url, "good").receive_event("ns", body={})


def test_cookies_are_not_kept(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, "good")
    fake.reply(Reply(200, b"{}", {"Set-Cookie": "session=1; Path=/"}))
    client.receive_event("ns", body={})
    client.receive_event("ns", body={})
    assert "Cookie" not in fake.seen[1].headers


def test_connections_are_reused(connect: Connect) -> None:
    """Seen from the server's side: both requests come from one port."""
    with CountingServer() as server:
        client = connect(f"http://127.0.0.1:{server.server_address[1]}", "good")
        for _ in range(3):
            client.receive_event("ns", body={})
        assert len(server.peers) == 1


def test_what_is_sent(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, "good", user_agent="mine/1.0")
    client.receive_event("ns", "d", {"a": [1, None]}, headers={"X-A": "b"})
    client.page("ns", label_selector="a=b,c", limit=5)
    event, listing = fake.seen
    assert (event.method, event.path, event.body) == ("POST", "/api/v1/events/ns/d", b'{"a":[1,null]}')
    expected = {"Content-Type": "application/json", "Accept": "application/json", "X-A": "b"}
    assert expected.items() <= event.headers.items()
    assert event.headers["Authorization"] == "Bearer good"
    assert (event.headers["User-Agent"], listing.headers["User-Agent"]) == ("mine/1.0", "mine/1.0")
    assert (listing.method, listing.path) == ("GET", "/api/v1/workflow-event-bindings/ns")
    assert listing.query == {"listOptions.labelSelector": "a=b,c", "listOptions.limit": "5"}
    assert "Content-Type" not in listing.headers


def test_a_path_prefix_is_kept(fake: FakeArgo, connect: Connect) -> None:
    fake.always = Reply()
    connect(f"{fake.url}/argo/", "good").receive_event("ns", body={})
    assert fake.seen[0].path == "/argo/api/v1/events/ns/"


def test_the_prefix_of_the_token(fake: FakeArgo, connect: Connect) -> None:
    fake.always = Reply()
    for token, prefix in (
        ("t", "Token"),
        ("t", ""),
        ("Bearer t", "Bearer"),
        (None, "Bearer"),
        ("", "Bearer"),
    ):
        connect(fake.url, token, prefix=prefix).receive_event("ns", body={})
    assert [seen.headers.get("Authorization") for seen in fake.seen] == [
        "Token t",
        "t",
        "Bearer t",
        None,
        None,
    ]


def test_a_token_is_asked_for_at_each_request(fake: FakeArgo, connect: Connect) -> None:
    fake.always = Reply()
    tokens = iter(["one", "two", None])
    client = connect(fake.url, lambda: next(tokens))
    for _ in range(3):
        client.receive_event("ns", body={})
    assert [seen.headers.get("Authorization") for seen in fake.seen] == ["Bearer one", "Bearer two", None]


class Cached:
    """A token that is read again only when it was refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def __call__(self) -> str:
        return self.tokens[0]

    def invalidate(self) -> None:
        if len(self.tokens) > 1:
            self.tokens.pop(0)


def test_a_refused_token_is_renewed_once(fake: FakeArgo, connect: Connect) -> None:
    assert connect(fake.url, Cached("old", "good")).receive_event("ns", body={"a": 1}) == {}
    assert [seen.headers["Authorization"] for seen in fake.seen] == ["Bearer old", "Bearer good"]
    assert {seen.body for seen in fake.seen} == {b'{"a":1}'}


def test_a_token_that_stays_the_same_is_not_tried_again(fake: FakeArgo, connect: Connect) -> None:
    for token in (Cached("old"), "old"):
        with pytest.raises(Unauthorized):
            connect(fake.url, token).receive_event("ns", body={})
    assert len(fake.seen) == 2


def test_two_wrong_tokens_are_enough(fake: FakeArgo, connect: Connect) -> None:
    with pytest.raises(Unauthorized):
        connect(fake.url, Cached("old", "older", "good")).receive_event("ns", body={})
    assert len(fake.seen) == 2


def test_a_token_can_be_reloaded(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, Cached("old", "good"))
    assert client.reload_token()
    client.receive_event("ns", body={})
    assert [seen.headers["Authorization"] for seen in fake.seen] == ["Bearer good"]


def test_the_environment_changes_nothing(
    fake: FakeArgo, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    fake.always = Reply()
    connect(fake.url).receive_event("ns", body={})
    assert "Authorization" not in fake.seen[0].headers


def test_a_client_that_is_closed_sends_nothing(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, "good")
    client.receive_event("ns", body={})
    if hasattr(client, "_runner"):
        client._runner.run(client.client.close())
    else:
        client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.receive_event("ns", body={})
    assert len(fake.seen) == 1


def test_headers_that_http_cannot_carry_are_refused(fake: FakeArgo, connect: Connect) -> None:
    """`post_event` checks nothing, but a line break must not become a header of its own."""
    with pytest.raises(Invalid):
        connect(fake.url, "good").post_event(event_request("ns"), b"{}", {"X-A": "b\r\nX-Evil: 1"})
    assert fake.seen == []


class _Counting(http.server.ThreadingHTTPServer):
    daemon_threads = True
    peers: set[int]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, _Counting)
        self.server.peers.add(self.client_address[1])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


class CountingServer:
    """Notes from which ports requests came."""

    def __enter__(self) -> _Counting:
        self._server = _Counting(("127.0.0.1", 0), _Handler)
        self._server.peers = set()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
