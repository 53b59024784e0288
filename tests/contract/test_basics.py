"""The basic lines of the server's facts: of the real server, and of the stand-in that other tests rely on."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from eventsource_operator.argo.errors import Forbidden, Invalid, RedirectRefused, Unauthorized, Unimplemented
from eventsource_operator.argo.protocol import EventRequest, event_request
from tests.contract.conftest import Connect
from tests.contract.objects import Cluster, binding
from tests.support.fake_argo import FakeArgo


@dataclass(frozen=True)
class Server:
    """One server with a namespace that has three bindings, `a`, `b` and `c`, and one that has none."""

    url: str
    token: str
    token_without_rights: str
    namespace: str
    empty_namespace: str


NAMES = ("a", "b", "c")


@pytest.fixture(params=["real", "fake"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    bindings = [binding(name, selector="false") for name in NAMES]
    if request.param == "fake":
        with FakeArgo({"good": ("ns", "empty"), "weak": ()}) as fake:
            fake.bindings["ns"] = [
                {**item, "metadata": {**item["metadata"], "namespace": "ns"}} for item in bindings
            ]
            yield Server(fake.url, "good", "weak", "ns", "empty")
        return
    plane, namespace = request.getfixturevalue("plane"), request.getfixturevalue("namespace")
    Cluster(plane.api, namespace).bind(*bindings)
    yield Server(plane.argo_url, plane.argo_token, plane.token(namespace, "nobody"), namespace, "argo")


@pytest.mark.parametrize(
    "discriminator", ["", "disc", "a b", "ünïcode", "50%", "q?x=1", "a#b", "a+b&c", "~._-"]
)
def test_an_event_is_taken(server: Server, connect: Connect, discriminator: str) -> None:
    assert connect(server.url, server.token).receive_event(server.namespace, discriminator, {"a": 1}) == {}


def test_an_event_without_bindings_is_taken(server: Server, connect: Connect) -> None:
    assert connect(server.url, server.token).receive_event(server.empty_namespace, body={"a": 1}) == {}


def test_the_slash_after_the_namespace_is_needed(server: Server, connect: Connect) -> None:
    bare = EventRequest(server.namespace, "", f"/api/v1/events/{server.namespace}")
    with pytest.raises(Unimplemented) as caught:
        connect(server.url, server.token).post_event(bare, b"{}", {})
    assert (caught.value.status, caught.value.code, caught.value.message) == (501, 12, "Not Implemented")


@pytest.mark.parametrize("discriminator", ["a/b", "a:b", ":"])
def test_a_discriminator_with_slash_or_colon_reaches_no_method(
    server: Server, connect: Connect, discriminator: str
) -> None:
    client = connect(server.url, server.token)
    with pytest.raises(Unimplemented) as caught:
        client.receive_event(server.namespace, discriminator, {}, unchecked=True)
    assert (caught.value.status, caught.value.code) == (501, 12)


@pytest.mark.parametrize("discriminator", ["", "disc"])
def test_broadcast_is_a_redirect_that_is_refused(
    server: Server, connect: Connect, discriminator: str
) -> None:
    with pytest.raises(RedirectRefused, match="another path of the same host") as caught:
        connect(server.url, server.token).receive_event("", discriminator, {}, unchecked=True)
    assert caught.value.status == 307


@pytest.mark.parametrize("path", ["/api/v1/events/", "/api/v1/events/disc"])
def test_where_broadcast_redirects_to_is_no_method(server: Server, connect: Connect, path: str) -> None:
    with pytest.raises(Unimplemented):
        connect(server.url, server.token).post_event(EventRequest("", "", path), b"{}", {})


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"true", b'"text"', b"1.5"])
def test_any_json_is_a_body(server: Server, connect: Connect, body: bytes) -> None:
    connect(server.url, server.token).post_event(event_request(server.namespace), body, {})


def test_a_body_that_is_no_json_is_invalid(server: Server, connect: Connect) -> None:
    with pytest.raises(Invalid, match="invalid character 'b' looking for") as caught:
        connect(server.url, server.token).post_event(event_request(server.namespace), b"bad", {})
    assert (caught.value.status, caught.value.code) == (400, 3)


def test_an_event_without_credentials_is_forbidden(server: Server, connect: Connect) -> None:
    with pytest.raises(
        Forbidden, match="failed to process webhook request: events need credentials"
    ) as caught:
        connect(server.url).receive_event(server.namespace, body={})
    assert (caught.value.status, caught.value.code) == (403, None)


def test_a_listing_without_credentials_is_unauthorized(server: Server, connect: Connect) -> None:
    with pytest.raises(Unauthorized, match="token not valid") as caught:
        list(connect(server.url).bindings(server.namespace))
    assert (caught.value.status, caught.value.code) == (401, 16)


def test_a_token_without_its_prefix_is_unauthorized(server: Server, connect: Connect) -> None:
    with pytest.raises(Unauthorized, match="token not valid") as caught:
        connect(server.url, server.token, prefix="").receive_event(server.namespace, body={})
    assert (caught.value.status, caught.value.code) == (401, 16)


def test_a_token_that_carries_its_prefix_is_taken(server: Server, connect: Connect) -> None:
    assert connect(server.url, f"Bearer {server.token}\n").receive_event(server.namespace, body={}) == {}


def test_a_bad_token_is_unauthorized(server: Server, connect: Connect) -> None:
    client = connect(server.url, "made-up")
    for send in (
        lambda: client.receive_event(server.namespace, body={}),
        lambda: client.page(server.namespace),
    ):
        with pytest.raises(Unauthorized, match="Unauthorized") as caught:
            send()
        assert (caught.value.status, caught.value.code) == (401, 16)


def test_a_token_without_rights_is_forbidden(server: Server, connect: Connect) -> None:
    client = connect(server.url, server.token_without_rights)
    for send in (
        lambda: client.receive_event(server.namespace, body={}),
        lambda: client.page(server.namespace),
    ):
        with pytest.raises(Forbidden, match=r"workfloweventbindings\.argoproj\.io is forbidden") as caught:
            send()
        assert (caught.value.status, caught.value.code) == (403, 7)


def test_bindings_are_listed(server: Server, connect: Connect) -> None:
    found = list(connect(server.url, server.token).bindings(server.namespace))
    assert [(item.namespace, item.name, item.selector) for item in found] == [
        (server.namespace, name, "false") for name in NAMES
    ]


def test_no_binding_is_an_empty_listing(server: Server, connect: Connect) -> None:
    client = connect(server.url, server.token)
    assert client.page(server.empty_namespace).items == ()
    assert list(client.bindings(server.empty_namespace)) == []


def test_a_limit_makes_pages(server: Server, connect: Connect) -> None:
    client = connect(server.url, server.token)
    first = client.page(server.namespace, limit=1)
    assert ([item.name for item in first.items], first.remaining) == (["a"], 2)
    rest = client.page(server.namespace, continue_=first.continue_)
    assert ([item.name for item in rest.items], rest.continue_) == (["b", "c"], "")
    assert [item.name for item in client.bindings(server.namespace, limit=1)] == list(NAMES)


def test_a_bad_continue_token_is_invalid(server: Server, connect: Connect) -> None:
    with pytest.raises(Invalid, match="invalid continue token") as caught:
        connect(server.url, server.token).page(server.namespace, continue_="nonsense")
    assert (caught.value.status, caught.value.code) == (400, 3)
