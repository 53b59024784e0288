"""An event: its id, its headers and its body.

The body is a CloudEvents 1.0 object in JSON's structured mode, or what ``event.payload`` makes of the
change. What it looks like to a receiver is described in ``docs/event.md``. Everything here works on
sanitized objects only, see `core.redaction`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventsource_operator.api.eventsource import ChangeType, Content, EventSpec
from eventsource_operator.core.cel import Expression
from eventsource_operator.core.diff import json_patch
from eventsource_operator.core.text import header_value

TYPE_PREFIX: Final = "dev.eventsource-operator."
_TYPES: Final = {change: f"{TYPE_PREFIX}{change.value.lower()}" for change in ChangeType}


def event_id(source_uid: str, object_uid: str, resource_version: str, change_type: ChangeType) -> str:
    """Returns 32 lower-case hex digits, the same for the same change each time it is sent.

    Legal in a Workflow's name and as a label's value. An object, identified by its uid, is deleted once:
    the version does not count for a deletion, so that one that was watched and one that was found by its
    absence have one id.
    """
    version = "" if change_type == ChangeType.DELETED else resource_version
    parts = f"{source_uid}\0{object_uid}\0{version}\0{change_type}"
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an object that a source selects.

    Attributes:
        type: what happened.
        api_version: of the object's kind, for example ``apps/v1``.
        kind: the object's kind.
        plural: the kind's resource name, for example ``deployments``.
        namespace: the object's namespace; empty for a cluster-scoped one.
        name: the object's name.
        uid: the object's uid.
        resource_version: the version that the change made; empty where it is not known.
        time: when it was seen, RFC 3339 with ``Z``.
        obj: the sanitized object (for a deletion its last state); None where it is not known.
        old: the sanitized state before; None where it is not known.
        changed: the paths that differ; None where that is not known.
    """

    type: ChangeType
    api_version: str
    kind: str
    plural: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    time: str
    obj: Mapping[str, Any] | None = None
    old: Mapping[str, Any] | None = None
    changed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What is sent. ``truncated`` says that the body fell back to a reference."""

    id: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool


class EventBuilder:
    """Builds the events of one source."""

    def __init__(
        self,
        source_namespace: str,
        source_name: str,
        source_uid: str,
        event_spec: EventSpec,
        payload: Expression | None,
    ) -> None:
        """Takes what all events of the source have in common.

        Args:
            source_namespace: the EventSource's namespace.
            source_name: the EventSource's name.
            source_uid: the EventSource's uid; it makes ids differ between sources.
            event_spec: ``spec.event``.
            payload: ``spec.event.payload``, compiled; None if the source has none.
        """
        self._uid = source_uid
        self._source = f"/{source_namespace}/eventsources/{source_name}"
        self._source_header = header_value(f"{source_namespace}/{source_name}")
        self._content = event_spec.content
        self._limit = event_spec.max_bytes
        self._payload = payload

    def build(self, change: Change) -> Event:
        """Builds the event of a change.

        A body of more than ``maxBytes``, also one that ``payload`` made, and one that JSON cannot carry (an
        object nested deeper than 254 levels) falls back to the CloudEvent with a reference.

        Raises:
            CelRuntimeError: ``payload`` failed on this object.
        """
        ident = event_id(self._uid, change.uid, change.resource_version, change.type)
        headers = (
            ("X-Event-Id", ident),
            ("X-Event-Type", change.type.value),
            ("X-Event-Source", self._source_header),
            ("X-Event-Kind", header_value(change.kind)),
            ("X-Event-Namespace", header_value(change.namespace)),
            ("X-Event-Name", header_value(change.name)),
        )
        if self._payload is not None:
            body = self._payload_body(self._payload, change)
        else:
            data = _reference(change)
            if change.changed is not None:
                data["changed"] = change.changed
            self._add_content(data, change)
            body = _dumps(self._cloud_event(ident, change, data))
        if body is not None and len(body) <= self._limit:
            return Event(ident, headers, body, truncated=False)
        return Event(ident, headers, self._fallback(ident, change), truncated=True)

    @staticmethod
    def _payload_body(payload: Expression, change: Change) -> bytes | None:
        value = payload.evaluate(change.type.value, change.obj, change.old, change.changed)
        return _dumps(value, orjson.OPT_SORT_KEYS)  # the order of a CEL map is not defined

    def _add_content(self, data: dict[str, Any], change: Change) -> None:
        if self._content is Content.REFERENCE or change.obj is None:
            return
        data["object"] = change.obj
        if self._content is Content.DIFF and change.old is not None:
            data["patch"] = json_patch(change.old, change.obj)

    def _cloud_event(self, ident: str, change: Change, data: dict[str, Any]) -> dict[str, Any]:
        place = f"{change.namespace}/{change.name}" if change.namespace else change.name
        return {
            "specversion": "1.0",
            "id": ident,
            "source": self._source,
            "type": _TYPES[change.type],
            "subject": f"{change.plural}/{place}",
            "time": change.time,
            "datacontenttype": "application/json",
            "data": data,
        }

    def _fallback(self, ident: str, change: Change) -> bytes:
        """The reference; without the changed paths, too, where those alone are too many."""
        data = _reference(change) | {"truncated": True}
        if change.changed is not None:
            body = _dumps(self._cloud_event(ident, change, data | {"changed": change.changed}))
            if body is not None and len(body) <= self._limit:
                return body
        return orjson.dumps(self._cloud_event(ident, change, data))


def _reference(change: Change) -> dict[str, Any]:
    data: dict[str, Any] = {"type": change.type.value, "apiVersion": change.api_version, "kind": change.kind}
    if change.namespace:
        data["namespace"] = change.namespace
    data["name"] = change.name
    data["uid"] = change.uid
    if change.resource_version:
        data["resourceVersion"] = change.resource_version
    return data


def _dumps(value: Any, option: int = 0) -> bytes | None:
    """JSON, or None for what JSON cannot carry: nested too deeply, or text that is no Unicode."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return None
