"""No log record and no exception holds the token or the body, whatever the server does."""

import logging
import traceback
from collections.abc import Callable

import pytest

from eventsource_operator.argo.errors import ArgoError, InvalidArgument
from tests.contract.clients import Client
from tests.contract.conftest import Connect
from tests.contract.objects import Cluster, binding
from tests.support.fake_argo import FakeArgo, Reply
from tools.controlplane.plane import ControlPlane

TOKEN = "tok-7f4e1c-very-secret"
BODY = {"password": "body-93ab-very-secret"}
HIDDEN = ("7f4e1c", "93ab")


def told(error: BaseException) -> str:
    """All that a log of the error could hold: its text, representation, attributes, chain and traceback."""
    seen, parts = set(), []
    chain: list[BaseException | None] = [error]
    while chain:
        item = chain.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        parts += [str(item), repr(item), repr(item.args), repr(vars(item))]
        chain += [item.__cause__, item.__context__]
    return "\n".join(parts) + "".join(traceback.format_exception(error))


def failure(send: Callable[[], object]) -> ArgoError:
    with pytest.raises(ArgoError) as caught:
        send()
    return caught.value


ECHOES = {
    "gateway": lambda text: Reply(500, b'{"code": 13, "message": "%s"}' % text.replace(b'"', b'\\"')),
    "details": lambda text: Reply(
        400, b'{"code": 3, "message": "no", "details": ["%s"]}' % text.replace(b'"', b'\\"')
    ),
    "html": lambda text: Reply(502, b"<p>" + text + b"</p>", {"Content-Type": "text/html"}),
    "text": lambda text: Reply(404, text, {"Content-Type": "text/plain"}),
    "success": lambda text: Reply(200, b"<p>" + text, {"Content-Type": "text/html"}),
    "redirect": lambda text: Reply(
        302, b"", {"Location": "http://other.example/?q=" + text.decode().replace('"', "")}
    ),
    "broken": lambda text: Reply(
        raw=b"HTTP/1.1 200 OK\r\nX: " + text + b"\r\nContent-Length: 99\r\n\r\n" + text
    ),
    "no-http": lambda text: Reply(raw=text + b"\r\n\r\n"),
}


@pytest.mark.parametrize("echo", list(ECHOES))
def test_a_server_that_repeats_what_it_got(
    fake: FakeArgo, connect: Connect, caplog: pytest.LogCaptureFixture, echo: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(fake.url, TOKEN)
    text = f'Authorization: Bearer {TOKEN} {{"password":"{BODY["password"]}"}}'.encode()
    fake.always = ECHOES[echo](text)
    sent = told(failure(lambda: client.receive_event("ns", body=BODY)))
    assert not any(hidden in sent for hidden in HIDDEN)
    assert HIDDEN[0] not in told(failure(lambda: client.page("ns")))  # a listing sends a token only
    assert_quiet(caplog)


def test_failures_of_the_connection(
    fake: FakeArgo, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(fake.url, TOKEN, timeout=0.3)
    for reply in (Reply(raw=b""), Reply(hold=True)):
        fake.always = reply
        assert not any(
            hidden in told(failure(lambda: client.receive_event("ns", body=BODY))) for hidden in HIDDEN
        )
    nobody = connect("http://127.0.0.1:9", TOKEN)
    assert not any(
        hidden in told(failure(lambda: nobody.receive_event("ns", body=BODY))) for hidden in HIDDEN
    )
    assert_quiet(caplog)


def test_arguments_that_are_refused(
    fake: FakeArgo, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(fake.url, TOKEN)
    for send in (
        lambda: client.receive_event("ns", body={"x": {BODY["password"]}}),
        lambda: client.receive_event("ns", body=[BODY["password"] + "\ud800"]),
        lambda: client.receive_event("ns", body=BODY, headers={"X-A": BODY["password"] + "\n"}),
        lambda: client.receive_event("ns", body=BODY, headers={"X-A": BODY["password"] + "ü"}),
        lambda: connect(fake.url, TOKEN + "\n" + TOKEN).receive_event("ns", body=BODY),
        lambda: connect(f"http://user:{TOKEN}@127.0.0.1", TOKEN),
    ):
        error = failure(send)
        assert isinstance(error, InvalidArgument)
        assert not any(hidden in told(error) for hidden in HIDDEN)
    assert fake.seen == []
    assert_quiet(caplog)


def test_the_real_server(
    client: Client, connect: Connect, plane: ControlPlane, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = connect(plane.argo_url, TOKEN)
    errors = [
        failure(lambda: bad.receive_event(cluster.namespace, body=BODY)),
        failure(lambda: bad.page("argo")),
    ]
    cluster.bind(
        binding("missing", template="nope"),
        binding("cast", selector="payload.password"),
        binding("name", workflow_name="payload.password.x"),
    )
    errors.append(failure(lambda: client.receive_event(cluster.namespace, body=BODY)))
    for error in errors:
        assert not any(hidden in told(error) for hidden in (*HIDDEN, plane.argo_token))
    assert_quiet(caplog, plane.argo_token)


def test_representations(connect: Connect, fake: FakeArgo) -> None:
    client = connect(fake.url, TOKEN)
    config = client.client._config
    assert TOKEN not in repr(config) + repr(client.client)


def assert_quiet(caplog: pytest.LogCaptureFixture, *more: str) -> None:
    records = [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    assert not [text for text in records if any(hidden in text for hidden in (*HIDDEN, *more))]
