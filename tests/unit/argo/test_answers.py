"""Answers become results or errors; dispatch errors tell what failed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.argo import errors
from eventsource_operator.argo.errors import ArgoError, Decision, Dispatch
from eventsource_operator.argo.protocol import Answer, parse_retry_after, read_answer
from eventsource_operator.argo.protocol.answers import MAX_RETRY_AFTER, _shown
from eventsource_operator.argo.protocol.dispatch import is_transient, split_reasons

NOW = 1_800_000_000.0


def gateway(status: int, code: int | None, message: str, **more: Any) -> Answer:
    document = {"message": message} | ({"code": code} if code is not None else {}) | more
    return Answer(status, json.dumps(document).encode(), {"content-type": "application/json"})


def failed(answer: Answer) -> ArgoError:
    with pytest.raises(ArgoError) as caught:
        read_answer(answer, NOW)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "decision"),
    [
        (gateway(401, 16, "Unauthorized"), errors.Unauthorized, Decision.UNAUTHORIZED),
        (gateway(403, 7, "forbidden"), errors.Forbidden, Decision.FORBIDDEN),
        (gateway(403, None, "failed to process webhook request"), errors.Forbidden, Decision.FORBIDDEN),
        (gateway(400, 3, "invalid character"), errors.Invalid, Decision.PERMANENT),
        (
            gateway(400, 3, "The resourceVersion for the provided list is too old."),
            errors.Expired,
            Decision.TRANSIENT,
        ),
        (gateway(410, 11, "gone"), errors.Expired, Decision.TRANSIENT),
        (gateway(404, 5, "Not Found"), errors.NotFound, Decision.TRANSIENT),
        (gateway(501, 12, "Not Implemented"), errors.Unimplemented, Decision.PERMANENT),
        (gateway(429, 8, "rejected by grpc_ratelimit"), errors.Overloaded, Decision.OVERLOADED),
        (Answer(429, b"Too Many Requests\n"), errors.Overloaded, Decision.OVERLOADED),
        (
            gateway(429, 8, "grpc: received message larger than max (2 vs. 1)"),
            errors.TooLarge,
            Decision.PERMANENT,
        ),
        (Answer(413, b"<html>"), errors.TooLarge, Decision.PERMANENT),
        (gateway(503, 14, "operation queue full"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(502, b"<html>"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(504, b""), errors.Unavailable, Decision.TRANSIENT),
        (Answer(200, b"<html>"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(200, b'{"items": ['), errors.Unavailable, Decision.TRANSIENT),
        (Answer(202, b"{}"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(400, b"Bad Request"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(404, b"404 page not found"), errors.Unavailable, Decision.TRANSIENT),
        (Answer(500, b'{"other": "json"}'), errors.Unavailable, Decision.TRANSIENT),
        (gateway(500, 13, "boom"), errors.ServerError, Decision.TRANSIENT),
        (gateway(499, 1, "context canceled"), errors.Unavailable, Decision.TRANSIENT),
        (gateway(500, 13, "failed to dispatch event: [x]"), errors.Dispatch, Decision.DISPATCH),
        (Answer(302, b"", {"location": "https://sso/"}), errors.RedirectRefused, Decision.TRANSIENT),
    ],
)
def test_each_answer_has_its_class(answer: Answer, kind: type[ArgoError], decision: Decision) -> None:
    error = failed(answer)
    assert type(error) is kind
    assert (error.decision, error.status) == (decision, answer.status)


def test_the_gateways_fields_are_kept() -> None:
    error = failed(gateway(400, 3, "bad", details=[{"@type": "x"}, "y"]))
    assert (error.status, error.code, error.message) == (400, 3, "bad")
    assert error.details == ("{'@type': 'x'}", "y")
    assert str(error) == "bad (HTTP 400, code 3)"


def test_success_is_any_json() -> None:
    assert [read_answer(Answer(200, body), NOW) for body in (b"{}", b"null", b"[1]", b'"x"')] == [
        {},
        None,
        [1],
        "x",
    ]


@given(st.integers(100, 599), st.binary(max_size=300), st.text(max_size=40))
def test_no_answer_breaks_the_reader(status: int, body: bytes, header: str) -> None:
    answer = Answer(
        status, body, {"content-type": header, "location": header, "retry-after": header, "date": header}
    )
    text = ""
    try:
        read_answer(answer, NOW)
    except ArgoError as error:
        text = str(error)
    assert text.isprintable() or text == ""
    assert len(text) < 1200


@given(st.text(max_size=6000))
def test_texts_of_a_server_are_bounded_and_printable(text: str) -> None:
    error = failed(gateway(500, 13, f"failed to dispatch event: [{text}]", details=[text] * 50))
    assert isinstance(error, Dispatch)
    for shown in (str(error), error.message, *error.details, *error.reasons):
        assert shown.isprintable()
        assert len(shown) < 1100
    assert len(error.details) <= 10


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://user:pw@sso.example:8443/login?token=x", "https://sso.example:8443;"),
        ("/api/v1/events/", "another path of the same host;"),
        ("//evil/", "evil;"),
        ("http://[bad", "a malformed address;"),
        ("", "another path of the same host;"),
    ],
)
def test_redirects_tell_scheme_and_host_alone(location: str, where: str) -> None:
    error = failed(Answer(307, b"", {"location": location}))
    assert where in error.message
    assert not any(part in error.message for part in ("login", "token=x", "pw", "events"))


def test_secrets_that_a_server_repeats_are_taken_out() -> None:
    body = '{"password":"hunter2"}'
    plain = gateway(400, 3, f"cannot use {body} of Bearer abcdef", details=["abcdef"])
    error = failed(Answer(400, plain.body, plain.headers, ("Bearer abcdef", "abcdef", body)))
    assert error.message == "cannot use [redacted] of [redacted]"
    assert error.details == ("[redacted]",)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("99999999999999999999", MAX_RETRY_AFTER),
        ("Fri, 15 Jan 2027 08:00:07 GMT", 7.0),
        ("Fri, 15 Jan 2027 08:00:07 UTC", 7.0),  # how the Argo Server writes it
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2038 08:00:07 GMT", MAX_RETRY_AFTER),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("Fri, 99 Jan 2027 08:00:07 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_retry_after_is_measured_by_the_servers_clock() -> None:
    headers = {"retry-after": "Fri, 15 Jan 2027 09:00:03 GMT", "date": "Fri, 15 Jan 2027 09:00:01 GMT"}
    assert failed(Answer(503, b"", headers)).retry_after == 2.0


TAKEN = (
    'failed to create workflow: workflows.argoproj.io "w" already exists, '
    "the server was not able to generate a unique name for the object"
)
MISSING = 'failed to get workflow template: workflowtemplates.argoproj.io "nope" not found'
SELECTOR = (
    "failed to evaluate workflow template expression: unable to evaluate expression "
    "'payload.a.b == \"timeout\"': cannot fetch b from <nil> (1:11)\n | payload.a.b\n | ..........^"
)


def dispatch(*reasons: str) -> Dispatch:
    error = failed(gateway(500, 13, f"failed to dispatch event: [{' '.join(reasons)}]"))
    assert isinstance(error, Dispatch)
    return error


@pytest.mark.parametrize(
    ("reasons", "already_exists", "transient"),
    [
        ([TAKEN], True, False),
        ([TAKEN, TAKEN], True, False),
        ([TAKEN, MISSING], False, False),
        ([MISSING, SELECTOR], False, False),
        ([SELECTOR], False, False),
        (
            [
                'failed to create workflow: Post "https://10.0.0.1/x": dial tcp 10.0.0.1:443: i/o timeout',
                TAKEN,
            ],
            False,
            True,
        ),
        ([], False, True),
    ],
)
def test_what_a_dispatch_error_says(reasons: list[str], already_exists: bool, transient: bool) -> None:
    error = dispatch(*reasons)
    assert (error.already_exists, error.transient) == (already_exists, transient)
    assert len(error.reasons) == len(reasons)


@pytest.mark.parametrize(
    ("name", "made_up"),
    [
        ("wait-x7k2q", True),
        ("my.template-00000", True),
        ("hello.abcde", True),
        ("w-0123456789abcdef0123456789abcdef", False),
        ("w-1", False),
        ("x7k2q", False),
        ("-x7k2q", False),
        ("wait-x7k2", False),
        ("wait-x7k2qq", False),
        ("wait-X7k2q", False),
    ],
)
def test_names_that_the_server_may_have_made_up(name: str, *, made_up: bool) -> None:
    error = dispatch(TAKEN.replace('"w"', f'"{name}"'), TAKEN)
    assert error.already_exists
    assert error.made_up == ({name} if made_up else set())


def test_reasons_of_an_unknown_form_stay_together() -> None:
    assert split_reasons("failed to dispatch event: [a b c]") == ("a b c",)
    hidden = dispatch(TAKEN + " something else went wrong")
    assert not hidden.already_exists


def test_a_retried_reason_is_one() -> None:
    text = "timed out waiting for the condition: failed to create workflow: etcdserver: leader changed"
    assert split_reasons(f"failed to dispatch event: [{text} {MISSING}]") == (text, MISSING)


@pytest.mark.parametrize(
    "reason",
    [
        "failed to create workflow: etcdserver: request timed out",
        "failed to create workflow: the server has received too many requests and has asked us to wait",
        'failed to get workflow template: Get "https://10.0.0.1": dial tcp: connect: connection refused',
        "failed to create workflow: Internal error occurred: failed calling webhook",
        'failed to create workflow: Operation cannot be fulfilled on resourcequotas "q"',
        'failed to create workflow: workflows.argoproj.io "w" is forbidden: exceeded quota: none',
        "failed to create workflow: the server is currently unable to handle the request",
        "something nobody has seen before",
    ],
)
def test_reasons_that_may_go_away(reason: str) -> None:
    assert is_transient(reason)


@pytest.mark.parametrize(
    "reason",
    [
        TAKEN,
        MISSING,
        SELECTOR,
        'failed to get workflow template: workflowtemplates.argoproj.io "timeout-handler" not found',
        'failed to create workflow: workflows.argoproj.io is forbidden: User "u" cannot create it',
        'failed to create workflow: Workflow.argoproj.io "A" is invalid: metadata.name: timeout',
        'failed to create workflow: admission webhook "w" denied the request: no timeout given',
        "failed to compile workflow template parameter p expression: unexpected token",
        'failed to evaluate workflow template parameter "p" expression: interface conversion',
        "failed to validate workflow template instanceid: 'other' is not managed by the current Argo Server",
        'malformed workflow template parameter "p": valueFrom is nil',
        "workflow name expression must evaluate to a string, not a float64",
    ],
)
def test_reasons_that_somebody_has_to_mend(reason: str) -> None:
    assert not is_transient(reason)


def test_a_value_of_the_payload_is_not_repeated() -> None:
    text = (
        "failed to evaluate workflow template expression: unable to cast expression result 'se'cret' to bool"
    )
    assert "cret" not in str(dispatch(text))


def test_what_is_secret_is_not_repeated_but_what_is_short_may_be() -> None:
    answer = gateway(400, 3, "bad token s3cret in {}", details=["s3cret", "x"])
    error = failed(Answer(answer.status, answer.body, answer.headers, secrets=("s3cret", "{}", "", "bad")))
    assert "s3cret" not in f"{error} {error.message} {error.details}"
    assert error.message.startswith("bad token ")
    assert error.message.endswith(" in {}")
    assert error.details[1] == "x"


class Deep:
    """What some Pythons do with a thousand brackets, and others only with more than the parser lets through."""

    def __str__(self) -> str:
        raise RecursionError


def test_a_detail_that_is_nested_too_deeply_is_told_as_that() -> None:
    assert _shown(Deep()) == "(nested too deeply to be shown)"
    error = failed(Answer(400, b'{"code": 3, "message": "m", "details": [' + b"[" * 900 + b"]" * 900 + b"]}"))
    assert len(error.details) == 1
