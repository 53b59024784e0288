"""Answers that the real server never gives: other servers, proxies and broken lines between."""

import time
from email.utils import formatdate

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
