"""WorkflowEventBindings as values, and the walk over the pages of a listing."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from eventsource_operator.argo.errors import Expired, InvalidArgument, Unavailable
from eventsource_operator.argo.protocol.options import (
    DEFAULT_LIMIT,
    ListOptions,
    checked_options,
    list_target,
)

OnExpired = Literal["restart", "continue"]

MAX_RESTARTS = 5
"""Expired tokens survived in one listing. etcd compacts every 5 minutes: more in one listing never ends."""


@dataclass(frozen=True, slots=True)
class TemplateReference:
    """What a binding submits: a WorkflowTemplate, or a ClusterWorkflowTemplate when `cluster_scope`."""

    name: str
    cluster_scope: bool = False


@dataclass(frozen=True, slots=True)
class WorkflowEventBinding:
    """A WorkflowEventBinding, as far as senders need it, and whole in `raw`.

    Attributes:
        name: metadata.name.
        namespace: metadata.namespace.
        labels: metadata.labels.
        selector: spec.event.selector, the expr-lang condition on the event.
        template: spec.submit.workflowTemplateRef; None when the binding submits nothing.
        uid: metadata.uid.
        resource_version: metadata.resourceVersion.
        raw: the object as the server sent it; not to be changed.
    """

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    selector: str = ""
    template: TemplateReference | None = None
    uid: str = ""
    resource_version: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BindingPage:
    """One page of a listing.

    Attributes:
        items: the bindings, in the order of the server.
        resource_version: the version of the state that was listed.
        continue_: the token of the next page; empty on the last one.
        remaining: how many follow, None where the server does not say (with selectors, for instance).
    """

    items: tuple[WorkflowEventBinding, ...]
    resource_version: str = ""
    continue_: str = ""
    remaining: int | None = None


def read_page(document: Any) -> BindingPage:
    """Read the answer of a listing. Unknown fields are kept in `raw`, missing ones get their defaults.

    Raises:
        Unavailable: the answer is JSON, but not a list of bindings.
    """
    items = _mapping(document).get("items", ()) if isinstance(document, Mapping) else ()
    if not isinstance(document, Mapping) or "items" not in document or not isinstance(items, list | None):
        raise Unavailable(
            "the answer is no list of bindings: is this the address of an Argo Server?", status=200
        )
    metadata = _mapping(document.get("metadata"))
    remaining = metadata.get("remainingItemCount")
    return BindingPage(
        items=tuple(_binding(item) for item in items or ()),
        resource_version=_text(metadata.get("resourceVersion")),
        continue_=_text(metadata.get("continue")),
        remaining=int(str(remaining)) if str(remaining).isdecimal() else None,  # an int64 may come as text
    )


def _binding(item: Any) -> WorkflowEventBinding:
    metadata = _mapping(_mapping(item).get("metadata"))
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise Unavailable("the list holds a binding without a name: is this an Argo Server?", status=200)
    spec = _mapping(item.get("spec"))
    reference = _mapping(_mapping(spec.get("submit")).get("workflowTemplateRef"))
    return WorkflowEventBinding(
        name=name,
        namespace=_text(metadata.get("namespace")),
        labels={str(key): _text(value) for key, value in _mapping(metadata.get("labels")).items()},
        selector=_text(_mapping(spec.get("event")).get("selector")),
        template=TemplateReference(_text(reference.get("name")), bool(reference.get("clusterScope")))
        if reference
        else None,
        uid=_text(metadata.get("uid")),
        resource_version=_text(metadata.get("resourceVersion")),
        raw=item,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


class Pager:
    """Walks the pages of one listing; transports only carry its requests.

    With `on_expired="restart"` an expired token begins the listing anew, and bindings that were handed out
    already are left out, so each comes once. With `"continue"` the listing goes on behind the last page with
    the newest state, as the API server offers in its 410; the Argo Server swallows that offer, so the token
    is made here from the expired one, and where its form is not known the listing restarts instead.
    """

    def __init__(
        self, namespace: str, *, on_expired: OnExpired = "restart", unchecked: bool = False, **options: Any
    ) -> None:
        if on_expired not in {"restart", "continue"}:
            raise InvalidArgument("on_expired", "must be 'restart' or 'continue'")
        options.setdefault("limit", DEFAULT_LIMIT)
        self._first = checked_options(unchecked=unchecked, **options)
        self._next = self._first
        self._namespace = namespace
        self._unchecked = unchecked
        self._on_expired = on_expired
        self._restarts = 0
        self._seen: set[tuple[str, str]] = set()
        self.target: str | None = list_target(namespace, self._first, unchecked=unchecked)
        """Path and query of the next request; None when the listing is complete."""

    def accept(self, page: BindingPage) -> list[WorkflowEventBinding]:
        """Take a page in; returns the bindings that were not handed out yet."""
        new = [item for item in page.items if (item.namespace, item.name) not in self._seen]
        self._seen.update((item.namespace, item.name) for item in new)
        if page.continue_ and page.continue_ == self._next.continue_:
            raise Unavailable("the server answers the same page again and again", status=200)
        self._follow(replace(_unversioned(self._next), continue_=page.continue_) if page.continue_ else None)
        return new

    def expired(self, error: Expired) -> None:
        """Go on after an expired token, or raise the error when there is nothing to go on from."""
        token = self._next.continue_
        self._restarts += 1
        if not token or self._restarts > MAX_RESTARTS:
            raise error
        onward = newest_state_token(token) if self._on_expired == "continue" else None
        if onward and onward != token:
            self._follow(replace(_unversioned(self._next), continue_=onward))
        elif self._first.continue_:  # the caller's own token: we do not know what came before it
            raise error
        else:
            self._follow(self._first)

    def _follow(self, options: ListOptions | None) -> None:
        if options is None:
            self.target = None
            return
        self._next = options
        self.target = list_target(self._namespace, options, unchecked=self._unchecked)


def _unversioned(options: ListOptions) -> ListOptions:
    """A continue token holds the version; the API server refuses both together."""
    return replace(options, resource_version=None, resource_version_match=None)


def newest_state_token(token: str) -> str | None:
    """Make the continue token that goes on behind `token` with the newest state.

    The API server's token is base64 of `{"v": "meta.k8s.io/v1", "rv": version, "start": key}`, and its 410
    offers the same one with version -1 (k8s.io/apiserver, storage/continue.go and etcd3/errors.go).

    Returns:
        The token, or None when the form is another one.
    """
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(content, dict) or content.get("v") != "meta.k8s.io/v1" or not content.get("start"):
        return None
    content["rv"] = -1
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
