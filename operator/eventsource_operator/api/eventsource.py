"""Parses an EventSource: defaults and rules of `crds/eventsources.yaml`, in Python.

An object is accepted here exactly when the API server accepts it, so that a file can be judged offline
and an object of the cluster never surprises. The types are those of `api.spec`, exported here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from eventsource_operator.api import patterns
from eventsource_operator.api.reading import Fields, SpecError, check_choice, check_string
from eventsource_operator.api.selectors import read_selector
from eventsource_operator.api.server import read_server
from eventsource_operator.api.spec import (
    API_VERSION,
    BUILTIN_DELIVERY,
    GROUP,
    KIND,
    PLURAL,
    REPLAY_ANNOTATION,
    TLS,
    VERSION,
    Auth,
    BindingsSpec,
    CAKind,
    CARef,
    ChangeType,
    Content,
    DeliverySpec,
    DispatchErrors,
    EventSource,
    EventSourceSpec,
    EventSpec,
    Initial,
    LabelSelector,
    Namespaces,
    Operator,
    Requirement,
    Retry,
    SecretKeyRef,
    ServerSpec,
    WatchTarget,
    spec_to_dict,
)

__all__ = [
    "API_VERSION",
    "BUILTIN_DELIVERY",
    "GROUP",
    "KIND",
    "PLURAL",
    "REPLAY_ANNOTATION",
    "TLS",
    "VERSION",
    "Auth",
    "BindingsSpec",
    "CAKind",
    "CARef",
    "ChangeType",
    "Content",
    "DeliverySpec",
    "DispatchErrors",
    "EventSource",
    "EventSourceSpec",
    "EventSpec",
    "Initial",
    "LabelSelector",
    "Namespaces",
    "Operator",
    "Requirement",
    "Retry",
    "SecretKeyRef",
    "ServerSpec",
    "SpecError",
    "WatchTarget",
    "parse_event_source",
    "parse_spec",
    "spec_to_dict",
]


def parse_event_source(obj: Mapping[str, Any], *, namespace: str = "default") -> EventSource:
    """The EventSource that a JSON object of the API server, or a manifest in a file, describes.

    Args:
        obj: The whole object. Its status is not looked at.
        namespace: What counts when the object, as files do, names no namespace.

    Raises:
        SpecError: The API server would refuse the object; it names the first wrong field.
    """
    top = Fields(obj, "")
    if top.raw("apiVersion") != API_VERSION:
        raise SpecError("apiVersion", f"must be {API_VERSION}")
    if top.raw("kind") != KIND:
        raise SpecError("kind", f"must be {KIND}")
    meta = Fields(top.required("metadata", "an EventSource needs a name"), "metadata")
    name = meta.required_string(
        "name",
        "an EventSource needs a name",
        max_length=253,
        pattern=patterns.SUBDOMAIN,
        hint=patterns.SUBDOMAIN_HINT,
    )
    spec = parse_spec(top.required("spec", "say what to watch"))
    top.raw("status")
    top.end()
    annotations = meta.object("annotations")
    found = {} if annotations is None else dict(meta.raw("annotations"))
    return EventSource(
        namespace=meta.string("namespace", namespace, max_length=63) or namespace,
        name=name,
        uid=meta.string("uid", max_length=253),
        generation=meta.integer("generation", minimum=0, maximum=2**63 - 1) or 0,
        resource_version=meta.string("resourceVersion", max_length=253),
        annotations=tuple(sorted((str(key), str(value)) for key, value in found.items())),
        deleting=meta.raw("deletionTimestamp") is not None,
        spec=spec,
    )


def parse_spec(value: Any, path: str = "spec") -> EventSourceSpec:
    """The spec that a JSON value describes, with the schema's defaults.

    Raises:
        SpecError: The API server would refuse it.
    """
    fields = Fields(value, path)
    fields.required("watch", "name at least one target; [{}] watches the ConfigMaps of the own namespace")
    spec = EventSourceSpec(
        suspend=fields.boolean("suspend"),
        service_account_name=fields.string(
            "serviceAccountName",
            "default",
            max_length=253,
            pattern=patterns.SUBDOMAIN,
            hint=patterns.SUBDOMAIN_HINT,
        ),
        watch=fields.items("watch", _target, minimum=1, maximum=16),
        event=_event(_child(fields, "event")),
        server=read_server(_child(fields, "server")),
        delivery=_delivery(_child(fields, "delivery")),
        bindings=_bindings(_child(fields, "bindings")),
    )
    fields.end()
    return spec


def _child(fields: Fields, name: str) -> Fields:
    return fields.object(name) or Fields({}, fields.at(name))


def _target(value: Any, path: str) -> WatchTarget:
    fields = Fields(value, path)
    initial = fields.choice("initial", Initial.IGNORE)
    events = fields.items(
        "events", partial(check_choice, choices=ChangeType), minimum=1, maximum=3, unique=True
    )
    target = WatchTarget(
        api_version=fields.string(
            "apiVersion", "v1", max_length=317, pattern=patterns.API_VERSION, hint=patterns.API_VERSION_HINT
        ),
        kind=fields.string(
            "kind", "ConfigMap", max_length=63, pattern=patterns.KIND, hint=patterns.KIND_HINT
        ),
        namespaces=fields.nested("namespaces", _namespaces),
        names=fields.items(
            "names",
            partial(
                check_string, min_length=1, max_length=253, pattern=patterns.GLOB, hint=patterns.GLOB_HINT
            ),
            minimum=1,
            maximum=64,
            unique=True,
        ),
        label_selector=fields.nested("labelSelector", read_selector),
        field_selector=_field_selector(fields),
        events=frozenset(events or ChangeType),
        fields=fields.items(
            "fields",
            partial(
                check_string, min_length=1, max_length=512, pattern=patterns.PATH, hint=patterns.PATH_HINT
            ),
            minimum=1,
            maximum=32,
            unique=True,
        ),
        condition=fields.string("condition", max_length=4096),
        initial=initial,
    )
    fields.end()
    return target


def _namespaces(fields: Fields) -> Namespaces:
    namespaces = Namespaces(
        names=fields.items(
            "names",
            partial(check_string, max_length=63, pattern=patterns.LABEL, hint=patterns.LABEL_HINT),
            minimum=1,
            maximum=64,
            unique=True,
        ),
        selector=fields.nested("selector", read_selector),
        all=fields.boolean("all"),
    )
    fields.end()
    if (len(namespaces.names) > 0) + (namespaces.selector is not None) + namespaces.all != 1:
        raise SpecError(
            fields.path,
            "give exactly one of names, selector and all: true; leave namespaces out for the source's own",
        )
    return namespaces


def _field_selector(fields: Fields) -> str:
    return fields.string(
        "fieldSelector",
        max_length=1024,
        pattern=patterns.FIELD_SELECTOR,
        hint=patterns.FIELD_SELECTOR_HINT,
    )


def _event(fields: Fields) -> EventSpec:
    namespace = fields.string("namespace", max_length=63, pattern=patterns.LABEL, hint=patterns.LABEL_HINT)
    discriminator = fields.string(
        "discriminator",
        max_length=253,
        pattern=patterns.DISCRIMINATOR,
        hint=patterns.DISCRIMINATOR_HINT,
    )
    event = EventSpec(
        namespace=namespace or None,
        broadcast=fields.boolean("broadcast"),
        discriminator=discriminator,
        content=fields.choice("content", Content.OBJECT),
        payload=fields.string("payload", max_length=8192),
        max_bytes=_or(fields.integer("maxBytes", minimum=1024, maximum=4194304), 262144),
    )
    fields.end()
    if event.broadcast and event.namespace is not None:
        raise SpecError(fields.path, "broadcast goes to every namespace: give either broadcast or namespace")
    if discriminator in (".", ".."):
        raise SpecError(fields.at("discriminator"), "must not be . or ..: choose a name")
    return event


def _delivery(fields: Fields) -> DeliverySpec:
    delivery = DeliverySpec(
        max_concurrency=fields.integer("maxConcurrency", minimum=1, maximum=1024),
        max_per_second=fields.number("maxPerSecond", minimum=0, maximum=100000),
        retry=_retry(_child(fields, "retry")),
        dispatch_errors=fields.choice("dispatchErrors", DispatchErrors.RETRY_TRANSIENT),
        quiet_period_seconds=_or(fields.number("quietPeriodSeconds", minimum=0, maximum=86400), 0),
    )
    fields.end()
    return delivery


def _retry(fields: Fields) -> Retry:
    retry = Retry(
        limit=fields.integer("limit", minimum=0, maximum=100),
        backoff_seconds=fields.number("backoffSeconds", minimum=0.01, maximum=3600),
        max_backoff_seconds=fields.number("maxBackoffSeconds", minimum=0.01, maximum=86400),
    )
    fields.end()
    first, longest = retry.backoff_seconds, retry.max_backoff_seconds
    if first is not None and longest is not None and longest < first:
        raise SpecError(fields.at("maxBackoffSeconds"), "must not be below backoffSeconds: raise it")
    return retry


def _bindings(fields: Fields) -> BindingsSpec:
    bindings = BindingsSpec(
        label_selector=fields.string("labelSelector", max_length=1024),
        field_selector=_field_selector(fields),
        resync_seconds=_or(fields.integer("resyncSeconds", minimum=5, maximum=86400), 60),
    )
    fields.end()
    return bindings


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
