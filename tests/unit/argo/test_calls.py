"""What of a request must not be repeated should the server quote it."""

from __future__ import annotations

import pytest

from eventsource_operator.argo.protocol.calls import MAX_SECRET_BODY, Call


@pytest.mark.parametrize(
    ("authorization", "body", "secrets"),
    [
        (None, None, ()),
        ("Bearer t", None, ("Bearer t", "t")),
        ("t", None, ("t", "t")),
        (None, b'{"a": 1}', ('{"a": 1}',)),
        ("Bearer t", b"\xff", ("Bearer t", "t", "\ufffd")),
        (None, b"x" * MAX_SECRET_BODY, ("x" * MAX_SECRET_BODY,)),
        (None, b"x" * (MAX_SECRET_BODY + 1), ()),
    ],
)
def test_token_and_body_are_secret(
    authorization: str | None, body: bytes | None, secrets: tuple[str, ...]
) -> None:
    assert Call("POST", "/", 1, body).secrets(authorization) == secrets


def test_neither_is_in_the_representation() -> None:
    text = repr(Call("POST", "/", 1, b"payload", {"X-A": "header"}))
    assert "payload" not in text
    assert "header" not in text
