"""What must survive a restart, as EventSourceCheckpoint objects: one head per source, and its chunks.

The head says, per target, up to which resourceVersion everything is acknowledged and where the ledger
is; the chunks hold the ledger, whose codec is `core.ledger`'s business. A checkpoint that cannot be
understood is an error, never an empty one: it would look as if every object were new.
resourceVersions are strings here and in the cluster, as everywhere in Kubernetes. The module is long because
what is written and what is read back belong side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from eventsource_operator.api.reading import INT64_MAX, Fields, SpecError, check_string
from eventsource_operator.api.spec import API_VERSION, ChangeType

KIND = "EventSourceCheckpoint"
PLURAL = "eventsourcecheckpoints"

MAX_FAILURES = 100
"""Failed events that a head keeps for replay."""

MAX_TARGETS = 2048
"""Targets, counted once per namespace, that a head can describe."""

MAX_DONE = 1000
"""Ids of acknowledged events above the position that a head keeps per target."""

MAX_DATA = 716800
"""Characters (700 KiB) of packed data in one field."""

MAX_MESSAGE = 1024
"""Characters of a failure's message."""

_VERSION = "^(0|[1-9][0-9]{0,19})$"
_VERSION_HINT = "a resourceVersion: a decimal number as a string"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_TIME_HINT = "a time as in RFC 3339"
_BASE64 = "^[A-Za-z0-9+/]*={0,2}$"
_BASE64_HINT = "base64"


class CheckpointError(ValueError):
    """A checkpoint cannot be understood; attributes as those of `SpecError`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Role(StrEnum):
    """Which part of a checkpoint an object is."""

    HEAD = "Head"
    CHUNK = "Chunk"


@dataclass(frozen=True, slots=True)
class SourceRef:
    """The EventSource that a checkpoint belongs to; another uid is another source."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class LedgerRef:
    """A stored ledger.

    Attributes:
        version: Of its codec.
        position: The resourceVersion at which it was taken.
        generation: Which of the source's snapshots; its chunks carry the same number.
        chunks: How many there are.
        objects: How many objects it knows.
        digest: Over its chunks, so that a torn write is noticed.
    """

    version: int
    position: str
    generation: int
    chunks: int
    objects: int
    digest: str


@dataclass(frozen=True, slots=True)
class TargetProgress:
    """How far a source has come with one target in one namespace.

    Attributes:
        key: What the operator knows the target by; unique in a head.
        resource: apiVersion and plural name, `apps/v1/deployments`.
        namespace: Empty for all namespaces and for cluster-scoped kinds.
        shape: Digest of what selects and what is compared; another shape needs a comparison with a list.
        position: The resourceVersion up to which every change is acknowledged.
        time: When that was current, RFC 3339.
        done: Ids of acknowledged events above the position.
        delta: Packed rows that changed since the ledger was stored; empty for none.
        ledger: The stored ledger, None before the first.
    """

    key: str
    resource: str
    namespace: str
    position: str
    time: str
    shape: str = ""
    done: tuple[str, ...] = ()
    delta: str = ""
    ledger: LedgerRef | None = None


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object of the cluster; `namespace` is empty where the kind has none."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that failed for good, with what replaying it needs."""

    id: str
    type: ChangeType
    resource: ObjectRef
    resource_version: str
    time: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a source's checkpoint; failures are newest first."""

    source: SourceRef
    targets: tuple[TargetProgress, ...] = ()
    failures: tuple[FailedEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One part of the stored ledger of the target `target`, counted from 0."""

    source: SourceRef
    target: str
    generation: int
    index: int
    data: str


def checkpoint_to_dict(value: Head | Chunk) -> dict[str, Any]:
    """The object's JSON form without metadata, which is the writer's business.

    Raises:
        CheckpointError: the value is beyond the schema's bounds. Cutting would lose state silently.
    """
    top = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "source": {"name": value.source.name, "uid": value.source.uid},
    }
    if isinstance(value, Chunk):
        body = top | {
            "role": Role.CHUNK.value,
            "target": value.target,
            "generation": value.generation,
            "index": value.index,
            "data": value.data,
        }
    else:
        body = top | {
            "role": Role.HEAD.value,
            "targets": [_target(each) for each in value.targets],
            "failures": [_failure(each) for each in value.failures],
        }
    parse_checkpoint(body)
    return body


def parse_checkpoint(obj: Mapping[str, Any]) -> Head | Chunk:
    """Reads a checkpoint object.

    Raises:
        CheckpointError: it is none, or was written by a version that stores something else.
    """
    try:
        return _parse(obj)
    except SpecError as error:
        raise CheckpointError(error.field, error.message) from error


def _target(value: TargetProgress) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "key": value.key,
        "resource": value.resource,
        "namespace": value.namespace,
        "shape": value.shape,
        "position": value.position,
        "time": value.time,
        "done": list(value.done),
        "delta": value.delta,
    }
    if value.ledger is not None:
        ledger = value.ledger
        plain["ledger"] = {
            "version": ledger.version,
            "position": ledger.position,
            "generation": ledger.generation,
            "chunks": ledger.chunks,
            "objects": ledger.objects,
            "digest": ledger.digest,
        }
    return plain


def _failure(value: FailedEvent) -> dict[str, Any]:
    return {
        "id": value.id,
        "type": value.type.value,
        "resource": {
            "apiVersion": value.resource.api_version,
            "kind": value.resource.kind,
            "namespace": value.resource.namespace,
            "name": value.resource.name,
            "uid": value.resource.uid,
        },
        "resourceVersion": value.resource_version,
        "time": value.time,
        "reason": value.reason,
        "message": value.message,
    }


def _parse(obj: Any) -> Head | Chunk:
    top = Fields(obj, "")
    for name, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if top.raw(name) != expected:
            raise SpecError(name, f"must be {expected}")
    top.raw("metadata")
    ref = Fields(top.required("source", "name the EventSource"), "source")
    source = SourceRef(name=_text(ref, "name", 253), uid=_text(ref, "uid", 128))
    ref.end()
    top.required("role", "Head or Chunk")
    if top.choice("role", Role.HEAD) is Role.HEAD:
        targets = top.items("targets", _read_target, maximum=MAX_TARGETS)
        keys = [target.key for target in targets]
        if len(set(keys)) < len(keys):
            raise SpecError("targets", "has a key twice")
        found: Head | Chunk = Head(
            source, targets, top.items("failures", _read_failure, maximum=MAX_FAILURES)
        )
    else:
        found = Chunk(
            source,
            target=_text(top, "target", 512),
            generation=_number(top, "generation"),
            index=_number(top, "index"),
            data=check_string(
                top.required("data", "a chunk holds data"),
                "data",
                max_length=MAX_DATA,
                pattern=_BASE64,
                hint=_BASE64_HINT,
            ),
        )
    top.end()
    return found


def _text(fields: Fields, name: str, limit: int) -> str:
    return fields.required_string(name, "a checkpoint says it", min_length=1, max_length=limit)


def _number(fields: Fields, name: str) -> int:
    fields.required(name, "a checkpoint says it")
    return fields.integer(name, minimum=0, maximum=INT64_MAX) or 0


def _version(fields: Fields, name: str) -> str:
    return fields.required_string(
        name, "a checkpoint says it", max_length=20, pattern=_VERSION, hint=_VERSION_HINT
    )


def _time(fields: Fields) -> str:
    return fields.required_string(
        "time", "a checkpoint says it", max_length=64, pattern=_TIME, hint=_TIME_HINT
    )


def _read_target(value: Any, path: str) -> TargetProgress:
    fields = Fields(value, path)
    target = TargetProgress(
        key=_text(fields, "key", 512),
        resource=_text(fields, "resource", 512),
        namespace=fields.string("namespace", max_length=63),
        shape=fields.string("shape", max_length=64),
        position=_version(fields, "position"),
        time=_time(fields),
        done=fields.items("done", partial(check_string, min_length=1, max_length=64), maximum=MAX_DONE),
        delta=fields.string("delta", max_length=MAX_DATA, pattern=_BASE64, hint=_BASE64_HINT),
        ledger=fields.nested("ledger", _read_ledger),
    )
    fields.end()
    return target


def _read_ledger(fields: Fields) -> LedgerRef:
    ledger = LedgerRef(
        version=_number(fields, "version"),
        position=_version(fields, "position"),
        generation=_number(fields, "generation"),
        chunks=_number(fields, "chunks"),
        objects=_number(fields, "objects"),
        digest=_text(fields, "digest", 128),
    )
    fields.end()
    return ledger


def _read_failure(value: Any, path: str) -> FailedEvent:
    fields = Fields(value, path)
    ref = Fields(fields.required("resource", "a checkpoint says it"), fields.at("resource"))
    fields.required("type", "a checkpoint says it")
    failure = FailedEvent(
        id=_text(fields, "id", 64),
        type=fields.choice("type", ChangeType.MODIFIED),
        resource=ObjectRef(
            api_version=_text(ref, "apiVersion", 317),
            kind=_text(ref, "kind", 63),
            namespace=ref.string("namespace", max_length=63),
            name=_text(ref, "name", 253),
            uid=ref.string("uid", max_length=128),
        ),
        resource_version=fields.string("resourceVersion", max_length=64),
        time=_time(fields),
        reason=_text(fields, "reason", 512),
        message=fields.string("message", max_length=MAX_MESSAGE),
    )
    ref.end()
    fields.end()
    return failure
