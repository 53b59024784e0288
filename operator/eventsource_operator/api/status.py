"""What an EventSource tells: the status of its schema, as immutable values.

Times are RFC 3339 strings. What is written always fits the schema: texts are cut to their bounds and lists to
theirs, because one long message must not keep the whole status from being written. The module is long because
what is written and what is read back belong side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from eventsource_operator.api.reading import INT64_MAX, Fields, check_string
from eventsource_operator.api.spec import ChangeType

T = TypeVar("T")

MAX_MESSAGE = 1024
"""Characters of a message that the operator writes."""

MAX_CONDITION_MESSAGE = 4096
"""The same for a condition's: a denial holds the commands that mend it, and a name in them has up to 253."""

MAX_TEXT = 512
"""Characters of a reason, resource, target, server or field that the operator writes."""

MAX_NAMES = 20
"""Bindings that are listed by name."""

MAX_FAILURES = 20
"""Failed events that the status lists; the checkpoint keeps more."""

MAX_WATCHES = 16
"""As many as a source may have targets."""

_READ = 2**20  # characters of a text that is read back: the schema has bounded it


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition (metav1.Condition). `status` is True, False or Unknown; `reason` stable CamelCase."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int
    last_transition_time: str


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """One target: `live` once it is listed and its changes arrive; else `reason` and `message` tell why."""

    target: str
    namespaces: int = 0
    objects: int = 0
    live: bool = False
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class BindingsStatus:
    """The bindings that listen: how many, the names of the first ones, when they were last listed."""

    count: int = 0
    names: tuple[str, ...] = ()
    last_list_time: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that was delivered, and the seconds from its change being seen to the server's answer."""

    id: str
    type: ChangeType
    resource: str
    time: str
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that failed for good; its id replays it."""

    id: str
    type: ChangeType
    resource: str
    time: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeliveriesStatus:
    """Counters since the source was created, and the latest events. `failures`: newest first, replayable."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0
    last: Delivery | None = None
    last_failure: Failure | None = None
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationError:
    """An object on which a CEL expression failed; `field` is the expression's path in the spec."""

    time: str
    resource: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class EvaluationErrors:
    """How often a condition or payload could not be evaluated, and the last time it could not."""

    count: int = 0
    last: EvaluationError | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The whole status.

    `server` and `namespace` are the effective ones (`*` when broadcasting); what is None or empty is
    not written.
    """

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    server: str = ""
    namespace: str = ""
    watches: tuple[WatchStatus, ...] = ()
    bindings: BindingsStatus | None = None
    deliveries: DeliveriesStatus = DeliveriesStatus()
    evaluation_errors: EvaluationErrors | None = None

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type, None when there is none."""
        return next((each for each in self.conditions if each.type == type_), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, within the schema's bounds. `summary` is derived: what `kubectl get` prints."""
        watches = self.watches[:MAX_WATCHES]
        live = sum(watch.live for watch in watches)
        errors = self.evaluation_errors
        return _said(
            {
                "observedGeneration": self.observed_generation,
                "conditions": [_condition(each) for each in self.conditions],
                "server": _cut(self.server),
                "namespace": _cut(self.namespace),
                "summary": {"watches": f"{live}/{len(watches)}"} if watches else None,
                "watches": [_watch(each) for each in watches],
                "bindings": self.bindings and _bindings(self.bindings),
                "deliveries": _deliveries(self.deliveries),
                "evaluationErrors": errors
                and _said({"count": errors.count, "last": errors.last and _evaluation(errors.last)}),
            }
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any] | None) -> Status:
        """Reads a status back. Fields of newer versions are passed over, missing ones take their default.

        Raises:
            SpecError: a field has a type that no version writes.
        """
        fields = Fields(value or {}, "status")
        return cls(
            observed_generation=_count(fields, "observedGeneration"),
            conditions=_each(fields, "conditions", _read_condition),
            server=_text(fields, "server"),
            namespace=_text(fields, "namespace"),
            watches=_each(fields, "watches", _read_watch),
            bindings=fields.nested("bindings", _read_bindings),
            deliveries=fields.nested("deliveries", _read_deliveries) or DeliveriesStatus(),
            evaluation_errors=fields.nested("evaluationErrors", _read_errors),
        )


def _said(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each is not None and each not in ("", [])}


def _cut(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _condition(value: Condition) -> dict[str, Any]:
    return {
        "type": value.type,
        "status": value.status,
        "reason": value.reason,
        "message": _cut(value.message, MAX_CONDITION_MESSAGE),
        "observedGeneration": value.observed_generation,
        "lastTransitionTime": value.last_transition_time,
    }


def _watch(value: WatchStatus) -> dict[str, Any]:
    return {"target": _cut(value.target)} | _said(
        {
            "namespaces": value.namespaces,
            "objects": value.objects,
            "live": value.live,
            "reason": _cut(value.reason),
            "message": _cut(value.message, MAX_MESSAGE),
        }
    )


def _bindings(value: BindingsStatus) -> dict[str, Any]:
    names = [_cut(name) for name in value.names[:MAX_NAMES]]
    return _said({"count": value.count, "names": names, "lastListTime": value.last_list_time})


def _deliveries(value: DeliveriesStatus) -> dict[str, Any]:
    return _said(
        {
            "delivered": value.delivered,
            "failed": value.failed,
            "pending": value.pending,
            "last": value.last and {**_event(value.last), "seconds": value.last.seconds},
            "lastFailure": value.last_failure and _failure(value.last_failure),
            "failures": [_failure(each) for each in value.failures[:MAX_FAILURES]],
        }
    )


def _event(value: Delivery | Failure) -> dict[str, Any]:
    return {
        "id": value.id,
        "type": value.type.value,
        "resource": _cut(value.resource),
        "time": value.time,
    }


def _failure(value: Failure) -> dict[str, Any]:
    return _event(value) | {"reason": _cut(value.reason), "message": _cut(value.message, MAX_MESSAGE)}


def _evaluation(value: EvaluationError) -> dict[str, Any]:
    return {
        "time": value.time,
        "resource": _cut(value.resource),
        "field": _cut(value.field),
        "message": _cut(value.message, MAX_MESSAGE),
    }


def _text(fields: Fields, name: str) -> str:
    return fields.string(name, max_length=_READ)


def _count(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=0, maximum=INT64_MAX) or 0


def _each(fields: Fields, name: str, read: Any) -> tuple[Any, ...]:
    return fields.items(name, lambda value, path: read(Fields(value, path)), maximum=_READ)


def _read_condition(fields: Fields) -> Condition:
    return Condition(
        type=_text(fields, "type"),
        status=_text(fields, "status"),
        reason=_text(fields, "reason"),
        message=_text(fields, "message"),
        observed_generation=_count(fields, "observedGeneration"),
        last_transition_time=_text(fields, "lastTransitionTime"),
    )


def _read_watch(fields: Fields) -> WatchStatus:
    return WatchStatus(
        target=_text(fields, "target"),
        namespaces=_count(fields, "namespaces"),
        objects=_count(fields, "objects"),
        live=fields.boolean("live"),
        reason=_text(fields, "reason"),
        message=_text(fields, "message"),
    )


def _read_bindings(fields: Fields) -> BindingsStatus:
    names = fields.items(
        "names", lambda value, path: check_string(value, path, max_length=_READ), maximum=_READ
    )
    return BindingsStatus(
        count=_count(fields, "count"), names=names, last_list_time=_text(fields, "lastListTime")
    )


def _read_deliveries(fields: Fields) -> DeliveriesStatus:
    return DeliveriesStatus(
        delivered=_count(fields, "delivered"),
        failed=_count(fields, "failed"),
        pending=_count(fields, "pending"),
        last=fields.nested("last", _read_delivery),
        last_failure=fields.nested("lastFailure", _read_failure),
        failures=_each(fields, "failures", _read_failure),
    )


def _read_delivery(fields: Fields) -> Delivery:
    return Delivery(
        id=_text(fields, "id"),
        type=fields.choice("type", ChangeType.MODIFIED),
        resource=_text(fields, "resource"),
        time=_text(fields, "time"),
        seconds=fields.number("seconds", minimum=0, maximum=INT64_MAX) or 0,
    )


def _read_failure(fields: Fields) -> Failure:
    return Failure(
        id=_text(fields, "id"),
        type=fields.choice("type", ChangeType.MODIFIED),
        resource=_text(fields, "resource"),
        time=_text(fields, "time"),
        reason=_text(fields, "reason"),
        message=_text(fields, "message"),
    )


def _read_errors(fields: Fields) -> EvaluationErrors:
    return EvaluationErrors(count=_count(fields, "count"), last=fields.nested("last", _read_evaluation))


def _read_evaluation(fields: Fields) -> EvaluationError:
    return EvaluationError(
        time=_text(fields, "time"),
        resource=_text(fields, "resource"),
        field=_text(fields, "field"),
        message=_text(fields, "message"),
    )
