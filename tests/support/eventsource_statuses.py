"""Hypothesis strategies for statuses: everything that the types admit, texts beyond their bounds included."""

from __future__ import annotations

from hypothesis import strategies as st

from eventsource_operator.api.spec import ChangeType
from eventsource_operator.api.status import (
    BindingsStatus,
    Condition,
    DeliveriesStatus,
    Delivery,
    EvaluationError,
    EvaluationErrors,
    Failure,
    Status,
    WatchStatus,
)

CONDITIONS = ("Ready", "Accepted", "Authorized", "Watching", "Bound", "Delivering")
COUNTS = st.integers(0, 2**63 - 1)
SHORT = st.integers(0, 2**31)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat(timespec='seconds')}Z")
IDS = st.from_regex(r"\A[0-9a-f]{32}\Z")
REASONS = st.sampled_from(["BindingsFound", "ServerUnreachable", "Rejected", "RetriesExhausted"])
PRINTABLE = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])


def texts(limit: int, *, beyond: bool) -> st.SearchStrategy[str]:
    """Printable texts of up to `limit` characters, or some longer ones too."""
    short = st.text(PRINTABLE, max_size=20)
    long = st.integers(limit - 1, limit + (2 if beyond else 0)).map(lambda length: "é" * length)
    return st.one_of(short, long)


def statuses(*, beyond: bool) -> st.SearchStrategy[Status]:
    """Statuses; with `beyond`, some texts and lists are longer than the schema admits."""
    over = 3 if beyond else 0
    text, message = texts(512, beyond=beyond), texts(1024, beyond=beyond)
    failure = st.builds(
        Failure,
        id=IDS,
        type=st.sampled_from(ChangeType),
        resource=text,
        time=TIMES,
        reason=REASONS,
        message=message,
    )
    condition = st.builds(
        Condition,
        type=st.sampled_from(CONDITIONS),
        status=st.sampled_from(["True", "False", "Unknown"]),
        reason=REASONS,
        message=message,
        observed_generation=COUNTS,
        last_transition_time=TIMES,
    )
    delivery = st.builds(
        Delivery,
        id=IDS,
        type=st.sampled_from(ChangeType),
        resource=text,
        time=TIMES,
        seconds=st.floats(0, 1e6, allow_subnormal=False) | st.integers(0, 1000),
    )
    watch = st.builds(
        WatchStatus,
        target=text,
        namespaces=SHORT,
        objects=SHORT,
        live=st.booleans(),
        reason=REASONS | st.just(""),
        message=message,
    )
    return st.builds(
        Status,
        observed_generation=COUNTS,
        conditions=st.lists(condition, max_size=6, unique_by=lambda each: each.type).map(tuple),
        server=text,
        namespace=text,
        watches=st.lists(watch, max_size=3).map(tuple) | watch.map(lambda each: (each,) * (16 + over)),
        bindings=st.none()
        | st.builds(
            BindingsStatus,
            count=COUNTS,
            names=st.lists(text, max_size=3).map(tuple) | text.map(lambda each: (each,) * (20 + over)),
            last_list_time=TIMES | st.just(""),
        ),
        deliveries=st.builds(
            DeliveriesStatus,
            delivered=COUNTS,
            failed=COUNTS,
            pending=COUNTS,
            last=st.none() | delivery,
            last_failure=st.none() | failure,
            failures=st.lists(failure, max_size=2).map(tuple)
            | failure.map(lambda each: (each,) * (20 + over)),
        ),
        evaluation_errors=st.none()
        | st.builds(
            EvaluationErrors,
            count=COUNTS,
            last=st.none()
            | st.builds(EvaluationError, time=TIMES, resource=text, field=text, message=message),
        ),
    )
