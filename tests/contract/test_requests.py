"""What the clients send: headers, tokens, paths and connections, and what they keep to themselves."""

from pathlib import Path

import pytest

from eventsource_operator.argo.errors import (
    Invalid,
    Unauthorized,
)
from eventsource_operator.argo.protocol import event_request
from tests.contract.conftest import Connect
from tests.support.fake_argo import FakeArgo, Reply


def test_cookies_are_not_kept(fake: FakeArgo, connect: Connect) -> None:
    client = connect(fake.url, "good")
    fake.reply(Reply(200, b"{}", {"Set-Cookie": "session=1; Path=/"}))
    client.receive_event("ns", body={})
    client.receive_event("ns", body={})
    assert "Cookie" not in fake.seen[1].headers


def test_connections_are_reused(fake: FakeArgo, connect: Connect) -> None:
    """Seen from the server's side: all requests come from one port."""
    client = connect(fake.url, "good")
    for _ in range(3):
        client.receive_event("ns", body={})
    assert len(fake.seen) == 3
    assert len({seen.port for seen in fake.seen}) == 1


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
