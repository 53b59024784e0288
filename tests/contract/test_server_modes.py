"""What the real server does when it is started, loaded or stopped in other ways than usual."""

import signal
import ssl
import threading
import time
from collections.abc import Callable

import pytest
import requests

from eventsource_operator.argo import ArgoError, Decision
from eventsource_operator.argo.errors import (
    Forbidden,
    Overloaded,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from tests.contract.clients import Client
from tests.contract.conftest import Connect
from tests.contract.objects import Cluster, binding
from tests.contract.tokens import resigned
from tests.support.controlplane import wait_for
from tools.controlplane.plane import ArgoServer, ControlPlane


@pytest.fixture
def start(plane: ControlPlane) -> Callable[..., ArgoServer]:
    """Starts argo-servers; the session's end stops them, and each is small."""

    def make(*arguments: str) -> ArgoServer:
        return plane.start_argo(list(arguments))

    return make


def wait_until_open(client: Client, namespace: str) -> None:
    """A server that has just started answers 503 for up to a second, until its gateway reaches itself."""

    def answers() -> bool:
        try:
            client.page(namespace)
        except Unavailable as error:
            if (error.status, error.code) != (503, 14):
                raise
            return False
        return True

    wait_for(answers, 20, "the server's gateway")


def test_server_mode_takes_any_token_but_wants_one_with_events(
    start: Callable[..., ArgoServer], connect: Connect, cluster: Cluster
) -> None:
    cluster.template()
    cluster.bind(binding("named", workflow_name='"w-" + payload.id'))
    server = start("--auth-mode=server")
    client = connect(server.url)
    wait_until_open(client, cluster.namespace)
    assert [item.name for item in client.bindings(cluster.namespace)] == ["named"]
    with pytest.raises(Forbidden, match="auth-mode=server takes any"):
        client.receive_event(cluster.namespace, body={"id": "1"})
    assert cluster.workflows() == {}
    assert connect(server.url, "anything").receive_event(cluster.namespace, body={"id": "1"}) == {}
    assert set(cluster.workflows()) == {"w-1"}


def test_server_mode_shares_20_queries_a_second(
    start: Callable[..., ArgoServer], connect: Connect, cluster: Cluster
) -> None:
    """30 at once, then 20 a second (client-go's limit), and an event that matches nothing needs one query."""
    server = start("--auth-mode=server")
    client = connect(server.url, "anything")
    wait_until_open(client, cluster.namespace)
    started = time.monotonic()
    results = client.burst([{"namespace": cluster.namespace, "body": {}}] * 80, 16)
    seconds = time.monotonic() - started
    assert results == [{}] * 80
    assert seconds > (80 - 30) / 20 * 0.8


def test_async_dispatch_says_503_when_its_queue_is_full_and_hides_failures(
    start: Callable[..., ArgoServer], connect: Connect, cluster: Cluster
) -> None:
    cluster.template()
    cluster.bind(binding("slow", workflow_name='"w-" + payload.id'))
    server = start("--event-async-dispatch", "--event-operation-queue-size=1", "--event-worker-count=1")
    client = connect(server.url, cluster.token)
    wait_until_open(client, cluster.namespace)

    results = client.burst(
        [{"namespace": cluster.namespace, "body": {"id": str(number)}} for number in range(40)], 40
    )

    full = [error for error in results if isinstance(error, ArgoError)]
    assert full
    for error in full:
        assert isinstance(error, Unavailable)
        assert (error.status, error.code, error.message) == (503, 14, "operation queue full")
    taken = len(results) - len(full)
    assert taken >= 1
    wait_for(lambda: len(cluster.workflows()) == taken, 10, "the Workflows of the events that were taken")
    cluster.bind(binding("broken", template="nope"))
    assert client.receive_event(cluster.namespace, body={"id": "0"}) == {}


def test_beyond_the_rate_limit_events_are_shed(
    start: Callable[..., ArgoServer], connect: Connect, cluster: Cluster
) -> None:
    """One bucket per address and second; a request takes from the sender's, then from the gateway's own."""
    server = start("--api-rate-limit=40")
    client = connect(server.url, cluster.token)
    wait_until_open(client, cluster.namespace)
    seen: dict[bool, Overloaded] = {}

    def both_layers() -> bool:
        for error in client.burst([{"namespace": cluster.namespace, "body": {}}] * 100, 16):
            if isinstance(error, ArgoError):
                assert isinstance(error, Overloaded)
                seen[error.code is not None] = error
        return len(seen) == 2

    wait_for(both_layers, 20, "429 of both layers")
    plain, grpc = seen[False], seen[True]
    assert (plain.status, plain.code, plain.decision) == (429, None, Decision.OVERLOADED)
    assert plain.retry_after is not None
    assert 0 <= plain.retry_after <= 1
    assert (grpc.status, grpc.code, grpc.retry_after) == (429, 8, None)
    assert "is rejected by grpc_ratelimit middleware" in grpc.message


def test_each_request_counts_twice_on_loopback(plane: ControlPlane, cluster: Cluster) -> None:
    """Once for the sender's address and once for the gateway's, 127.0.0.1, which all senders share."""

    def remaining() -> tuple[str, int]:
        answer = requests.post(
            f"{plane.argo_url}/api/v1/events/{cluster.namespace}/",
            data=b"{}",
            headers={"Authorization": f"Bearer {cluster.token}"},
            timeout=30,
        )
        assert answer.headers["X-Ratelimit-Limit"] == "1000"
        return answer.headers["X-Ratelimit-Reset"], int(answer.headers["X-Ratelimit-Remaining"])

    def two_in_one_second() -> int | None:
        (window, first), (same, second) = remaining(), remaining()
        return first - second if window == same else None

    assert wait_for(two_in_one_second, 10, "two requests within one second") == 2


def test_a_body_over_100_mib_is_too_large_for_good(client: Client, cluster: Cluster) -> None:
    with pytest.raises(TooLarge, match="received message larger than max") as caught:
        client.receive_event(cluster.namespace, body="x" * (100 << 20))
    assert (caught.value.status, caught.value.code, caught.value.decision) == (429, 8, Decision.PERMANENT)


def test_an_expired_token_is_unauthorized(connect: Connect, plane: ControlPlane, cluster: Cluster) -> None:
    now = int(time.time())
    # The same token signed again with a later end is accepted: it is the end that is refused.
    valid, old = resigned(plane, cluster.token, now + 600), resigned(plane, cluster.token, now - 60)
    assert connect(plane.argo_url, valid).receive_event(cluster.namespace, body={}) == {}
    for send in (
        lambda: connect(plane.argo_url, old).receive_event(cluster.namespace, body={}),
        lambda: connect(plane.argo_url, old).page(cluster.namespace),
    ):
        with pytest.raises(Unauthorized) as caught:
            send()
        assert (caught.value.status, caught.value.code, caught.value.message) == (401, 16, "Unauthorized")


def test_an_expired_token_is_renewed_and_the_event_sent_once_more(
    connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    old = resigned(plane, cluster.token, int(time.time()) - 60)
    tokens = [old, cluster.token]
    cluster.template()
    cluster.bind(binding("named", workflow_name='"w-" + payload.id'))
    client = connect(plane.argo_url, lambda: tokens.pop(0) if len(tokens) > 1 else tokens[0])
    assert client.receive_event(cluster.namespace, body={"id": "1"}) == {}
    assert set(cluster.workflows()) == {"w-1"}


def test_an_instance_id_filters_events_but_not_the_listing(
    start: Callable[..., ArgoServer], connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    name = f"instance-{cluster.namespace}"
    plane.api.request(
        "POST",
        "/api/v1/namespaces/argo/configmaps",
        {"metadata": {"name": name}, "data": {"instanceID": "blue"}},
    )
    label = {"workflows.argoproj.io/controller-instanceid": "blue"}
    cluster.template(labels=label)
    cluster.bind(
        binding("blue", workflow_name='"blue-" + payload.id', labels=label),
        binding("other", workflow_name='"other-" + payload.id'),
    )
    client = connect(start(f"--configmap={name}").url, cluster.token)
    wait_until_open(client, cluster.namespace)
    assert client.receive_event(cluster.namespace, body={"id": "1"}) == {}
    assert set(cluster.workflows()) == {"blue-1"}
    assert [item.name for item in client.bindings(cluster.namespace)] == ["blue", "other"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # what was asked for
def test_tls_of_the_real_server(start: Callable[..., ArgoServer], connect: Connect, cluster: Cluster) -> None:
    server = start("--secure=true")
    port = int(server.url.rpartition(":")[2])
    certificate = ssl.get_server_certificate(("127.0.0.1", port))
    wait_until_open(connect(server.url, cluster.token, insecure_skip_verify=True), cluster.namespace)
    by_name = f"https://localhost:{port}"
    assert (
        connect(by_name, cluster.token, ca_data=certificate).receive_event(cluster.namespace, body={}) == {}
    )
    with pytest.raises(Unreachable, match=r"TLS: .*self-signed certificate"):
        connect(by_name, cluster.token).receive_event(cluster.namespace, body={})


def test_a_sigterm_cuts_requests_off(
    start: Callable[..., ArgoServer], connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    """It does not drain: a request that waits for the API server ends within a moment, without an answer."""
    server = start()
    client = connect(server.url, cluster.token, timeout=20)
    wait_until_open(client, cluster.namespace)
    outcome: list[ArgoError] = []

    def send() -> None:
        try:
            client.receive_event(cluster.namespace, body={})
        except ArgoError as error:
            outcome.append(error)

    sender = threading.Thread(target=send)
    plane.pause("kube-apiserver")
    try:
        sender.start()
        sender.join(0.5)  # it hangs: the API server behind it is frozen
        assert sender.is_alive()
        started = time.monotonic()
        plane.kill(server.name, signal.SIGTERM)
        sender.join(10)
        seconds = time.monotonic() - started
    finally:
        plane.resume("kube-apiserver")
        sender.join(20)
    assert isinstance(outcome[0], Unreachable)
    assert not outcome[0].timeout
    assert seconds < 5


def test_a_server_that_hangs_is_a_timeout(connect: Connect, plane: ControlPlane, cluster: Cluster) -> None:
    client = connect(plane.argo_url, cluster.token, timeout=0.5)
    assert client.receive_event(cluster.namespace, body={}) == {}
    plane.pause("argo-server")
    try:
        with pytest.raises(Unreachable, match=r"no answer within 0\.5 s") as caught:
            client.receive_event(cluster.namespace, body={})
    finally:
        plane.resume("argo-server")
    assert caught.value.timeout


def test_a_killed_server_is_unreachable_until_it_is_back(
    start: Callable[..., ArgoServer], connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    server = start()
    client = connect(server.url, cluster.token)
    wait_until_open(client, cluster.namespace)
    plane.kill(server.name, signal.SIGKILL)
    for _ in range(2):  # on the connection that was kept, then on none
        with pytest.raises(Unreachable) as caught:
            client.receive_event(cluster.namespace, body={})
        assert not caught.value.timeout
    plane.start_component(server.name)
    wait_until_open(client, cluster.namespace)
    assert client.receive_event(cluster.namespace, body={}) == {}
