"""The ten `listOptions.*` of the seed page under Python names, checked, and their wire form."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from eventsource_operator.argo.errors import InvalidArgument
from eventsource_operator.argo.protocol.events import check_namespace, is_unicode

DEFAULT_LIMIT = 500
"""Bindings per page, as kubectl asks for."""

MAX_INT64 = 2**63 - 1
_DIGITS = len(str(MAX_INT64))

_STRINGS = ("label_selector", "field_selector", "resource_version", "resource_version_match", "continue_")
_BOOLS = ("watch", "allow_watch_bookmarks", "send_initial_events")

WIRE_NAMES = {
    "label_selector": "labelSelector",
    "field_selector": "fieldSelector",
    "watch": "watch",
    "allow_watch_bookmarks": "allowWatchBookmarks",
    "resource_version": "resourceVersion",
    "resource_version_match": "resourceVersionMatch",
    "timeout_seconds": "timeoutSeconds",
    "limit": "limit",
    "continue_": "continue",
    "send_initial_events": "sendInitialEvents",
}
"""Python name → name after `listOptions.` (Kubernetes' metav1.ListOptions)."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which bindings are listed, and how. Unset options are not sent.

    Attributes:
        label_selector: Kubernetes label selector; empty means all.
        field_selector: Kubernetes field selector; bindings know `metadata.name` and `metadata.namespace`.
        watch: not usable through the Argo Server, see `checked_options`.
        allow_watch_bookmarks: has a meaning for watches alone; sent as asked, ignored by the server.
        resource_version: constraint on the state that is listed.
        resource_version_match: `Exact` or `NotOlderThan`; needs `resource_version`.
        timeout_seconds: bound of the call on the API server, in seconds.
        limit: bindings per page; 0 or None lets the server answer all at once.
        continue_: the token of the page before.
        send_initial_events: has a meaning for watches alone, see `checked_options`.
    """

    label_selector: str | None = None
    field_selector: str | None = None
    watch: bool | None = None
    allow_watch_bookmarks: bool | None = None
    resource_version: str | None = None
    resource_version_match: str | None = None
    timeout_seconds: int | None = None
    limit: int | None = None
    continue_: str | None = None
    send_initial_events: bool | None = None


def checked_options(*, unchecked: bool = False, **options: Any) -> ListOptions:
    """Make `ListOptions` of keyword arguments.

    Args:
        unchecked: pass options that the Argo Server is known not to honour.
        **options: the attributes of `ListOptions`; numbers may come as digits, as on the seed page.

    Raises:
        InvalidArgument: naming the option, why it is refused and what to use instead.
    """
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in WIRE_NAMES:
            raise InvalidArgument(name[:60], f"is not a list option; known are {', '.join(WIRE_NAMES)}")
        if value is not None:
            values[name] = _checked_value(name, value)
    checked = ListOptions(**values)
    if not unchecked:
        _refuse_unusable(checked)
    return checked


def _checked_value(name: str, value: Any) -> Any:
    if name in _STRINGS:
        if not isinstance(value, str):
            raise InvalidArgument(name, f"must be a string, not {type(value).__name__}")
        if not is_unicode(value):
            raise InvalidArgument(name, "must not hold lone surrogates")
        return value
    if name in _BOOLS:
        if not isinstance(value, bool):
            raise InvalidArgument(name, f"must be True or False, not {type(value).__name__}")
        return value
    if isinstance(value, str) and value.isascii() and value.lstrip("-").isdigit() and len(value) <= _DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(name, f"must be an integer, not {type(value).__name__}")
    if not 0 <= value <= MAX_INT64:
        raise InvalidArgument(name, "must not be negative" if value < 0 else "must fit into 64 bits")
    return value


def _refuse_unusable(options: ListOptions) -> None:
    if options.watch:
        raise InvalidArgument(
            "watch",
            "the Argo Server passes it to a list, which times out; list again at intervals instead, or watch "
            "workfloweventbindings on the Kubernetes API (or insist with unchecked=True)",
        )
    if options.send_initial_events:
        raise InvalidArgument(
            "send_initial_events",
            "has a meaning for watches alone, which the Argo Server does not offer; a list without it "
            "answers the same state (or insist with unchecked=True)",
        )
    match = options.resource_version_match
    if match and match not in {"Exact", "NotOlderThan"}:
        raise InvalidArgument("resource_version_match", "must be 'Exact' or 'NotOlderThan'")
    if match and not options.resource_version:
        raise InvalidArgument("resource_version_match", "needs resource_version to be set as well")
    if options.continue_ and (match or options.resource_version):
        raise InvalidArgument(
            "continue_", "already holds the version: leave resource_version and its match out"
        )


def list_target(namespace: str, options: ListOptions, *, unchecked: bool = False) -> str:
    """The path and query of a listing below the server's address.

    An empty namespace lists the bindings of all namespaces, for which cluster-wide rights are needed.

    Raises:
        InvalidArgument: naming `namespace`.
    """
    if not unchecked:
        check_namespace(namespace, may_be_empty=True)
    query: list[tuple[str, str]] = []
    for name, wire in WIRE_NAMES.items():
        value = getattr(options, name)
        if value is None or value == "":
            continue
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        query.append((f"listOptions.{wire}", text))
    path = f"/api/v1/workflow-event-bindings/{quote(namespace, safe='')}"
    return f"{path}?{urlencode(query, quote_via=quote, safe='')}" if query else path
