"""Where the server is: what is refused, and that nothing secret is shown."""

from typing import Any

import pytest

from eventsource_operator import __version__
from eventsource_operator.argo import ServerConfig
from eventsource_operator.argo.errors import InvalidArgument
from eventsource_operator.argo.protocol import authorization


def test_defaults_are_the_seed_pages() -> None:
    config = ServerConfig()
    assert (config.url, config.token, config.prefix) == ("http://localhost:2746", None, "Bearer")
    assert config.user_agent == f"eventsource-operator/{__version__}"


@pytest.mark.parametrize("url", ["http://a", "https://a:1/base/", "http://[::1]:2746", "http://1.2.3.4:5"])
def test_urls_that_are_taken(url: str) -> None:
    assert ServerConfig(url).base == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:2746", "http://"),
        ("ftp://a", "http://"),
        ("", "http://"),
        ("http://", "names no host"),
        ("http://a:99999", "malformed"),
        ("http://a:x", "malformed"),
        ("http://[a", "malformed"),
        ("http://a:0", "names no host and port"),
        ("http://u:p@a", "user or password"),
        ("http://a?b=c", "query"),
        ("http://a#b", "query or fragment"),
        ("http://a b", "spaces"),
        ("http://ä", "ASCII"),
        ("http://a\n", "ASCII"),
        (None, "string"),
    ],
)
def test_urls_that_are_refused(url: Any, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        ServerConfig(url)
    assert caught.value.argument == "url"


@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "5"])
def test_timeouts_are_positive_seconds(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="positive") as caught:
        ServerConfig(**{name: value})
    assert caught.value.argument == name


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(InvalidArgument, match=r"^client_key: "):
        ServerConfig(client_key="k")


def test_header_values_of_the_configuration_are_ascii() -> None:
    for name in ("prefix", "user_agent"):
        with pytest.raises(InvalidArgument, match=f"^{name}: "):
            ServerConfig(**{name: "a\nb"})  # type: ignore[arg-type]


def test_the_representation_holds_no_secret() -> None:
    text = repr(ServerConfig(token="s3cret", ca_data="PEM"))
    assert "s3cret" not in text
    assert "PEM" not in text


@pytest.mark.parametrize(
    ("token", "prefix", "value"),
    [
        ("t", "Bearer", "Bearer t"),
        ("t\n", "Bearer", "Bearer t"),
        ("Bearer t", "Bearer", "Bearer t"),
        ("bearer t", "Bearer", "bearer t"),
        ("t", "", "t"),
        ("", "Bearer", None),
        ("  \n", "Bearer", None),
        (None, "Bearer", None),
    ],
)
def test_the_authorization_header(token: str | None, prefix: str, value: str | None) -> None:
    assert authorization(token, prefix) == value


@pytest.mark.parametrize("token", ["a\nb", "ü", 5, b"t", "a\x00"])
def test_tokens_that_are_refused_are_not_repeated(token: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        authorization(token, "Bearer")
    assert caught.value.argument == "token"
    assert str(token) not in str(caught.value)
