"""Error texts of servers, and what they become in errors, log lines and on a terminal."""

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import DispatchErrors
from eventsource_operator.argo.errors import ArgoError
from eventsource_operator.argo.protocol.answers import Answer, read_answer
from eventsource_operator.cli.output import one_line, print_table
from eventsource_operator.core.outcome import decide
from eventsource_operator.kube.errors import from_response
from eventsource_operator.observability.logging import setup_logging

TEXTS = {
    "lines": "first\r\nSet-Cookie: x\r\n\r\n2026-11-24T00:00:00Z ERROR forged: line",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\\x1b[31m",
    "controls": "".join(map(chr, (*range(32), 127, *range(128, 160)))),
    "directions": "\u202egnp.exe\u2066\u2069\u200b\u200d\ufeff",
    "surrogates": "\ud800 \udfff",
    "markup": "[bold red]x[/] {{x}} %s %(message)s {0} ${HOME} `id` <script>",
    "long": "x\n" * 20_000,
    "unicode": "\U000e0001\U0010ffff\ue000\u0378",
}
STATUSES = [200, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 501, 502, 503, 504, 599]


def _safe(text: str, most: int = 5000) -> None:
    assert all(char.isprintable() for char in text), text[:200]
    assert len(text) <= most


def _bodies(text: str) -> list[bytes]:
    """The ways in which a server says it: the gateway's JSON, with dispatch errors and details, and no JSON."""
    documents: list[Any] = [
        {"code": 13, "message": text},
        {"code": 13, "message": f"failed to dispatch event: [{text}]"},
        {"code": 3, "message": text, "details": [{"a": text}, text]},
        {"error": text, "message": {"a": text}, "code": text},
        {"kind": "Status", "status": "Failure", "reason": text, "message": text, "details": text},
        text,
        [text],
    ]
    plain = text.encode("utf-8", "surrogatepass")
    return [*(json.dumps(each).encode() for each in documents), plain, b"<p>" + plain]


DEEP = [
    b'{"code": 3, "message": "m", "details": ' + b"[" * levels + b"]" * levels + b"}"
    for levels in (200, 1000, 20_000)
] + [b'{"message": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}" for levels in (200, 1000, 20_000)]


@pytest.mark.parametrize("status", STATUSES)
def test_every_answer_of_an_argo_server_has_a_meaning(status: int) -> None:
    for body in [each for text in TEXTS.values() for each in _bodies(text)] + DEEP:
        try:
            read_answer(Answer(status, body, {"retry-after": "1e999", "content-type": "text/html\x1b"}), 0.0)
        except ArgoError as error:
            _safe(str(error))
            _safe(repr(error.details), 200_000) if error.details else None
            outcome = decide(error, DispatchErrors.RETRY_TRANSIENT, retries=0, limit=1, others_succeed=True)
            assert outcome.reason.isalpha()
        else:
            assert status == 200


@given(st.sampled_from(STATUSES), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_an_answer(status: int, body: bytes) -> None:
    try:
        read_answer(Answer(status, body), 0.0)
    except ArgoError as error:
        _safe(str(error))


@pytest.mark.parametrize("status", STATUSES[1:])
def test_every_answer_of_an_api_server_has_a_meaning(status: int) -> None:
    for body in [each for text in TEXTS.values() for each in _bodies(text)] + DEEP:
        error = from_response(status, body, {"Retry-After": "1e999\r\n"})
        _safe(error.message)
        _safe(error.reason)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_log_line_stays_one_line(form: Any, name: str) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        setup_logging(form, "INFO", stream)
        logging.getLogger("hostile").warning(
            "x: %s", TEXTS[name][:5000], extra={"source": TEXTS[name][:5000]}
        )
    finally:
        root.handlers[:], root.level = handlers, level
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()


@pytest.mark.parametrize("name", TEXTS)
def test_a_terminal_gets_nothing_to_obey(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "MESSAGE"], [[TEXTS[name], TEXTS[name]], ["a", "b"]])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 3
    for line in shown.splitlines():
        _safe(line)
    _safe(one_line(TEXTS[name]))
