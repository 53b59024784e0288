"""Redaction: no value of a Secret gets out, in no content, payload, condition, digest or message."""

import base64
import copy
import hmac
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import ChangeType, Content, EventSpec
from eventsource_operator.core.cel import CelRuntimeError, compile_expression
from eventsource_operator.core.diff import changed_paths, json_patch
from eventsource_operator.core.event import Change, EventBuilder
from eventsource_operator.core.paths import leaf_digests
from eventsource_operator.core.redaction import LAST_APPLIED, RedactionError, redact, sanitize, strip

KEY = b"key"
PASSWORD = "correct-horse-battery"
TOKEN = "dG9rZW4-not-base64"


def _secret(password: str = PASSWORD, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "n", "uid": "u", "annotations": annotations},
        "data": {"password": base64.b64encode(password.encode()).decode(), "binary": "/wD+"},
        "stringData": {"token": TOKEN},
        "type": "Opaque",
    }


def test_strip_removes_what_is_never_sent_and_nothing_else() -> None:
    obj = {
        "kind": "ConfigMap",
        "metadata": {"name": "a", "managedFields": [1], "annotations": {LAST_APPLIED: "{}", "kept": "1"}},
        "data": {"a": "1"},
    }
    before = copy.deepcopy(obj)
    stripped = strip(obj)
    assert stripped == {
        "kind": "ConfigMap",
        "metadata": {"name": "a", "annotations": {"kept": "1"}},
        "data": {"a": "1"},
    }
    assert stripped["data"] is obj["data"]
    assert obj == before


@pytest.mark.parametrize(
    ("meta", "left"),
    [
        ({"name": "a", "annotations": {LAST_APPLIED: "{}"}}, {"name": "a"}),
        ({"name": "a", "managedFields": []}, {"name": "a"}),
        ({"annotations": None, "managedFields": []}, {"annotations": None}),
    ],
)
def test_strip_leaves_no_empty_annotations(meta: dict[str, Any], left: dict[str, Any]) -> None:
    assert strip({"metadata": meta}) == {"metadata": left}


@pytest.mark.parametrize(
    "obj", [{"metadata": {"name": "a", "annotations": {"b": "c"}}}, {"metadata": None}, {"kind": "x"}]
)
def test_strip_without_anything_to_remove_is_the_object_itself(obj: dict[str, Any]) -> None:
    assert strip(obj) is obj


def test_values_become_digests_that_change_with_them() -> None:
    first, same, other = (redact(_secret(word), key=KEY) for word in ("one-word", "one-word", "two-words"))
    assert first == same
    assert first["data"]["password"] != other["data"]["password"]
    assert first["data"]["binary"] == other["data"]["binary"]
    assert first["data"].keys() == _secret()["data"].keys()
    kind, _, digest = first["data"]["password"].partition(":")
    assert kind == "hmac-sha256"
    assert len(digest) == 32
    assert set(digest) <= set("0123456789abcdef")
    assert redact(_secret("one-word"), key=b"other")["data"]["password"] != first["data"]["password"]


def test_only_core_secrets_are_redacted() -> None:
    for change in ({"kind": "ConfigMap"}, {"apiVersion": "example.com/v1"}):
        obj = _secret() | change
        assert redact(obj, key=KEY) is obj


@pytest.mark.parametrize("missing", ["kind", "apiVersion"])
def test_an_object_that_does_not_say_what_it_is_is_refused(missing: str) -> None:
    obj = _secret()
    del obj[missing]
    with pytest.raises(RedactionError, match="items of a list"):
        sanitize(obj, key=KEY)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ("plain", False),
        (f"the password is {PASSWORD}", True),
        (base64.b64encode(PASSWORD.encode()).decode(), True),
        (base64.b64encode(TOKEN.encode()).decode(), True),
        (TOKEN, True),
        ('{"data": {}}', True),
        (" [1]", True),
        ("H4sIAAAAAAAA", True),
        (7, True),
    ],
)
def test_annotations_that_repeat_values_are_redacted(annotation: Any, told: bool) -> None:
    obj = _secret(note=annotation)
    found = redact(obj, key=KEY)["metadata"]["annotations"]["note"]
    assert (found != annotation) is told
    assert str(found).startswith("hmac-sha256:") is told


@pytest.mark.parametrize("data", [None, "text", ["a"]])
def test_data_of_another_shape_is_dropped(data: Any) -> None:
    assert redact(_secret() | {"data": data}, key=KEY)["data"] == {}
    assert redact(_secret() | {"metadata": data}, key=KEY)["metadata"] == data


@pytest.mark.parametrize("value", [None, 5, {"a": "b"}])
def test_values_of_another_type_are_digested_too(value: Any) -> None:
    assert redact(_secret() | {"data": {"x": value}}, key=KEY)["data"]["x"].startswith("hmac-sha256:")


def test_fields_that_a_secret_does_not_have_are_not_added() -> None:
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    assert redact(obj, key=KEY) == obj


def test_the_argument_is_not_changed() -> None:
    obj = _secret(**{LAST_APPLIED: "{}", "note": PASSWORD})
    before = copy.deepcopy(obj)
    sanitize(obj, key=KEY)
    assert obj == before


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_a_change_is_seen_exactly_when_a_value_changed(first: str, second: str) -> None:
    old, new = sanitize(_secret(first), key=KEY), sanitize(_secret(second), key=KEY)
    assert (changed_paths(old, new) == ()) is (first == second)
    assert (leaf_digests(old, (("data",),)) == leaf_digests(new, (("data",),))) is (first == second)


PAYLOADS = (
    "object",
    "[object, oldObject]",
    "object.data",
    "object.data.password + '!'",
    "string(object.data)",
    "int(object.data.password)",
    "{}[object.data.password]",
    "[1][object.data.password]",
    "bytes(object.stringData.token)",
    "object.data.password.split('').reverse()",
    "base64.decode(object.data.password)",
    "bool(object.data.password)",
    "timestamp(object.data.password)",
    "object.metadata.annotations",
)


def _outputs() -> dict[str, bytes]:
    """Everything that leaves the core for a Secret that changes, by the way it takes."""
    copies = {LAST_APPLIED: json.dumps(_secret()), "copy": json.dumps(_secret()), "note": f"it is {PASSWORD}"}
    old = sanitize(_secret("the-old-password"), key=KEY)
    new = sanitize(_secret(**copies), key=KEY)
    changed = changed_paths(old, new)
    change = Change(
        ChangeType.MODIFIED, "v1", "Secret", "secrets", "n", "s", "u", "7", "t", new, old, changed
    )
    found: dict[str, bytes] = {
        "digests": repr(leaf_digests(new, (("data",), ("metadata",)))).encode(),
        "changed": repr(changed).encode(),
        "patch": orjson.dumps(json_patch(old, new)),
    }
    for content in Content:
        for limit in (262144, 64):
            spec = EventSpec(content=content, max_bytes=limit)
            found[f"{content} {limit}"] = _everything(EventBuilder("n", "x", "uid", spec, None), change)
    for text in PAYLOADS:
        payload = compile_expression(text, "spec.event.payload")
        try:
            found[text] = _everything(EventBuilder("n", "x", "uid", EventSpec(), payload), change)
        except CelRuntimeError as error:
            found[text] = repr(
                (error, error.__cause__, error.__context__ if not error.__suppress_context__ else 0)
            ).encode()
    return found


def _everything(builder: EventBuilder, change: Change) -> bytes:
    event = builder.build(change)
    return repr(event).encode() + event.body


def test_no_value_of_a_secret_gets_out(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = (PASSWORD, "the-old-password", TOKEN)
    needles = [
        form for word in words for form in (word, base64.b64encode(word.encode()).decode(), word[::-1])
    ]
    needles.append("/wD+")
    outputs = _outputs()
    out, err = capfd.readouterr()
    outputs |= {"stdout": out.encode(), "stderr": err.encode(), "log": caplog.text.encode()}
    for way, output in outputs.items():
        for needle in needles:
            assert needle.encode() not in output, f"{needle} in {way}"
    assert b"hmac-sha256:" in outputs["Object 262144"]
    assert b'"truncated":true' in outputs["Object 64"]
    assert b"hmac-sha256:" in outputs["object.data"]


@pytest.mark.parametrize(
    "before",
    [
        {"data": {"first": "/wD+"}},
        {"data": {"first": 5}},
        {"data": {"first": "not base64!"}},
        {"stringData": {"first": 5}},
        {"stringData": {"first": "one-value"}},
    ],
)
@pytest.mark.parametrize("field", ["data", "stringData"])
def test_no_value_hides_the_next_from_the_search_in_annotations(before: dict[str, Any], field: str) -> None:
    value = base64.b64encode(PASSWORD.encode()).decode() if field == "data" else PASSWORD
    secret = _secret(copy=f"it is {PASSWORD}", other=f"it is {base64.b64encode(PASSWORD.encode()).decode()}")
    secret["data"] = secret["stringData"] = {}
    secret |= before
    secret[field] = {**secret[field], "second": value}
    redacted = redact(secret, key=KEY)["metadata"]["annotations"]
    assert all(text.startswith("hmac-sha256:") for text in redacted.values())
    assert redacted["copy"] != redacted["other"], "each is the digest of its own text"


def test_a_value_of_four_characters_is_looked_for_and_one_of_three_is_not() -> None:
    secret = _secret(four="x abcd x", three="x efg x")
    secret["data"], secret["stringData"] = {}, {"a": "abcd", "b": "efg"}
    redacted = redact(secret, key=KEY)["metadata"]["annotations"]
    assert redacted["four"].startswith("hmac-sha256:")
    assert redacted["three"] == "x efg x"


def test_the_digest_of_a_text_is_that_of_its_bytes_even_where_utf_8_has_none() -> None:
    for text in ("plain", "\ud800"):
        secret = _secret()
        secret["stringData"] = {"token": text}
        expected = hmac.digest(KEY, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
        assert redact(secret, key=KEY)["stringData"]["token"] == f"hmac-sha256:{expected}"
