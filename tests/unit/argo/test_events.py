"""receive_event's request: paths, headers and bodies, and what is refused before anything is sent."""

import datetime as dt
import enum
import json
import math
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.argo.errors import Decision, InvalidArgument
from eventsource_operator.argo.protocol import encode_body, event_headers, event_request, rfc3339


@pytest.mark.parametrize(
    ("namespace", "discriminator", "path"),
    [
        ("argo", "", "/api/v1/events/argo/"),
        ("argo", "disc", "/api/v1/events/argo/disc"),
        ("a-1", "a b", "/api/v1/events/a-1/a%20b"),
        ("a", "ü?#%&+=~", "/api/v1/events/a/%C3%BC%3F%23%25%26%2B%3D~"),
    ],
)
def test_paths(namespace: str, discriminator: str, path: str) -> None:
    assert event_request(namespace, discriminator).path == path


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/:")))
def test_every_other_discriminator_is_one_quoted_segment(discriminator: str) -> None:
    if discriminator in {".", ".."}:
        return
    path = event_request("ns", discriminator).path
    assert path.isascii()
    assert path.count("/") == "/api/v1/events/ns/".count("/")
    assert unquote(path.rpartition("/")[2]) == discriminator


@pytest.mark.parametrize(
    ("namespace", "discriminator", "argument", "says"),
    [
        ("", "", "namespace", "broadcast"),
        ("A", "", "namespace", "a-z"),
        ("a/b", "", "namespace", "a-z"),
        ("a" * 64, "", "namespace", "63"),
        ("-a", "", "namespace", "beginning"),
        ("a\n", "", "namespace", "a-z"),
        ("a", "b/c", "discriminator", "'/'"),
        ("a", "b:c", "discriminator", "':'"),
        ("a", ".", "discriminator", "resolved away"),
        ("a", "..", "discriminator", "resolved away"),
        ("a", "b\nc", "discriminator", "control"),
        ("a", "\ud800", "discriminator", "surrogates"),
        (None, "", "namespace", "NoneType"),
        ("a", 7, "discriminator", "int"),
    ],
)
def test_what_cannot_be_sent_names_the_argument(
    namespace: Any, discriminator: Any, argument: str, says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        event_request(namespace, discriminator)
    assert (caught.value.argument, caught.value.decision) == (argument, Decision.PERMANENT)
    assert isinstance(caught.value, ValueError)


def test_who_insists_may_send_it_still_quoted() -> None:
    assert event_request("", "a/b:c", unchecked=True).path == "/api/v1/events//a%2Fb%3Ac"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Authorization": "x"}, "does not begin with 'X-'"),
        ({"X-": "x"}, "does not begin with 'X-'"),
        ({"X-A B": "x"}, "does not begin with 'X-'"),
        ({"X-A": "b\nc"}, "control"),
        ({"X-A\r": "b"}, "control"),
        ({"X-A": "ü"}, "percent-encode"),
        ({"X-A": " b"}, "outer spaces"),
        ({"X-A": 1}, "strings"),
        ({1: "b"}, "strings"),
    ],
)
def test_headers_that_are_refused(headers: dict[Any, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        event_headers(headers)
    assert caught.value.argument == "headers"


def test_headers_that_are_taken() -> None:
    headers = {"X-Event-Id": "1", "x-path": "a/b:c, d=e", "X-Empty": ""}
    assert event_headers(headers) == headers
    assert event_headers(None) == {}
    assert event_headers({"Plain": "x"}, unchecked=True) == {"Plain": "x"}
    with pytest.raises(InvalidArgument):
        event_headers({"Plain": "x\ny"}, unchecked=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_json_value_survives(value: Any) -> None:
    """Integers of any size included, which orjson alone refuses."""
    try:
        encoded = encode_body(value)
    except InvalidArgument:
        assert "\\ud" in json.dumps(value)  # lone surrogates
        return
    assert json.loads(encoded) == value


FIRST = dt.datetime(1, 1, 3)  # noqa: DTZ001 - hypothesis adds the zones
LAST = dt.datetime(9999, 12, 30)  # noqa: DTZ001 - the same


@given(st.datetimes(FIRST, LAST, timezones=st.timezones()), st.dates())
def test_dates_are_rfc_3339(moment: dt.datetime, day: dt.date) -> None:
    text = rfc3339(moment)
    # With a fixed offset: times that a zone has twice are equal to nothing in another zone (PEP 495).
    assert dt.datetime.fromisoformat(text) == moment.replace(
        tzinfo=dt.timezone(moment.utcoffset() or dt.timedelta())
    )
    assert json.loads(encode_body({"at": moment, "on": [day]})) == {"at": text, "on": [day.isoformat()]}


def test_offsets_with_seconds_become_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=53, seconds=28))
    assert rfc3339(dt.datetime(1900, 1, 1, 6, tzinfo=zone)) == "1900-01-01T00:06:32Z"


def test_the_calendars_end_has_no_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=5, seconds=1))
    with pytest.raises(InvalidArgument, match="no equivalent in UTC"):
        rfc3339(dt.datetime(1, 1, 1, tzinfo=zone))


class Colour(enum.StrEnum):
    RED = "red"


def test_subclasses_are_written_as_what_they_are() -> None:
    assert encode_body({"a": Colour.RED, "b": (1, 2), "c": True}) == b'{"a":"red","b":[1,2],"c":true}'


@pytest.mark.parametrize(
    ("body", "argument", "says"),
    [
        (dt.datetime(2026, 1, 1), "body", "no time zone"),  # noqa: DTZ001 - the case
        ({"a": [1, {"b": math.nan}]}, "body.a[1].b", "NaN"),
        ([-math.inf], "body[0]", "infinities"),
        ({"a": {1: "b"}}, "body.a", "int; JSON knows only strings"),
        ({"a": {1, 2}}, "body.a", "set is not JSON"),
        (b"bytes", "body", "bytes is not JSON"),
        (Decimal(1), "body", "Decimal is not JSON"),
        (dt.time(1), "body", "time is not JSON"),
        (object(), "body", "object is not JSON"),
        ("\ud800", "body", "surrogate"),
        ({"\udfff": 1}, "body", "surrogate"),
    ],
)
def test_bodies_that_are_refused_name_the_place(body: Any, argument: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        encode_body(body)
    assert caught.value.argument == argument


def test_a_body_that_holds_itself_is_refused() -> None:
    body: list[Any] = []
    body.append(body)
    with pytest.raises(InvalidArgument, match="nested deeper"):
        encode_body(body)


def test_orjson_alone_would_send_null_for_nan() -> None:
    """Why `encode_body` looks at each value first."""
    assert orjson.dumps(math.nan) == b"null"


@pytest.mark.parametrize("number", [2**64, -(2**70), 10**400])
def test_integers_that_orjson_refuses_are_written_exactly(number: int) -> None:
    assert json.loads(encode_body({"n": number, "é": 1})) == {"n": number, "é": 1}
    assert encode_body([number, "é"]) == f'[{number},"é"]'.encode()
