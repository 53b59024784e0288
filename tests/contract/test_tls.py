"""TLS: private authorities, client certificates, and nothing trusted beside what was asked for."""

from pathlib import Path

import pytest

from eventsource_operator.argo.errors import InvalidArgument, Unreachable
from tests.contract.conftest import Connect
from tests.support.authority import Authority, serving
from tests.support.fake_argo import FakeArgo


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def test_an_authority_as_file_or_text(authority: Authority, connect: Connect) -> None:
    with FakeArgo({"good": ("*",)}, tls=serving(authority)) as server:
        path = str(authority.files.cert)
        assert connect(server.url, "good", ca_file=path).receive_event("ns", body={}) == {}
        text = authority.files.cert.read_text()
        assert connect(server.url, "good", ca_data=text).receive_event("ns", body={}) == {}
        assert connect(server.url, "good", ca_data=text).page("ns").items == ()


def test_an_unknown_authority_is_refused_before_the_token_is_sent(
    authority: Authority, tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path, "other")
    # The environment's authorities would accept the server: they must not count beside ours.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(authority.files.cert))
    with FakeArgo({"good": ("*",)}, tls=serving(authority)) as server:
        with pytest.raises(Unreachable, match=r"TLS: .*certificate verify failed"):
            connect(server.url, "good", ca_file=str(other.files.cert)).receive_event("ns", body={})
        assert server.seen == []


def test_a_certificate_of_another_host_is_refused(authority: Authority, connect: Connect) -> None:
    with FakeArgo({"good": ("*",)}, tls=serving(authority)) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unreachable, match="TLS: "):
            connect(url, "good", ca_file=str(authority.files.cert)).receive_event("ns", body={})
        assert server.seen == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # what was asked for
def test_any_certificate_when_asked(authority: Authority, connect: Connect) -> None:
    with FakeArgo({"good": ("*",)}, tls=serving(authority)) as server:
        assert connect(server.url, "good", insecure_skip_verify=True).receive_event("ns", body={}) == {}


def test_a_client_certificate(authority: Authority, tmp_path: Path, connect: Connect) -> None:
    clients = Authority(tmp_path, "clients")
    mine = clients.issue("me")
    ca = str(authority.files.cert)
    with FakeArgo({"good": ("*",)}, tls=serving(authority, clients)) as server:
        client = connect(server.url, "good", ca_file=ca, client_cert=str(mine.cert), client_key=str(mine.key))
        assert client.receive_event("ns", body={}) == {}
        with pytest.raises(Unreachable):
            connect(server.url, "good", ca_file=ca).receive_event("ns", body={})
        assert len(server.seen) == 1


def test_files_that_cannot_be_used_name_the_argument(
    authority: Authority, tmp_path: Path, connect: Connect
) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")
    mine = authority.issue("me")
    other = authority.issue("other")
    for argument, config in (
        ("ca_file", {"ca_file": "/nowhere"}),
        ("ca_file", {"ca_file": str(text)}),
        ("ca_data", {"ca_data": "no certificate"}),
        ("client_cert", {"client_cert": "/nowhere"}),
        ("client_cert", {"client_cert": str(mine.cert), "client_key": str(other.key)}),
        ("client_key", {"client_cert": str(mine.cert), "client_key": "/nowhere"}),
    ):
        with pytest.raises(InvalidArgument) as caught:
            connect("https://127.0.0.1:1", "good", **config)
        assert caught.value.argument == argument, config
