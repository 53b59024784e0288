"""What a spec comes to in this cluster: compiled targets, the feeds that they need, and what stands against it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from eventsource_operator.api.eventsource import (
    DeliverySpec,
    EventSource,
    LabelSelector,
    Retry,
    SpecError,
)
from eventsource_operator.core.cel import CelError, Expression, compile_expression
from eventsource_operator.core.conditions import Reason
from eventsource_operator.core.selectors import compile_labels, parse_label_selector_string
from eventsource_operator.core.target import Target
from eventsource_operator.delivery.sender import Policy
from eventsource_operator.kube.discovery import KindNotFound, NotWatchable
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.settings import Settings
from eventsource_operator.sources.authorize import Reviews, denied, send_need, watch_need
from eventsource_operator.sources.namespaces import NamespaceWatch
from eventsource_operator.sources.services import Services
from eventsource_operator.streams.feed import Feed

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The parts of a spec that do not depend on the cluster."""

    targets: tuple[Target, ...]
    payload: Expression | None


@dataclass(slots=True)
class Plan:
    """What to read, by checkpoint key, and what cannot be read or sent and why (``problems`` by target index)."""

    feeds: dict[str, tuple[Target, Feed]] = field(default_factory=dict)
    problems: dict[int, tuple[Reason, str]] = field(default_factory=dict)
    namespaces: dict[int, int] = field(default_factory=dict)
    denials: list[str] = field(default_factory=list)
    send_denied: bool = False


def compile_spec(source: EventSource) -> Compiled:
    """Compiles paths, selectors and expressions.

    Raises:
        SpecError: naming the field.
    """
    spec = source.spec
    payload = None
    if spec.event.payload:
        try:
            payload = compile_expression(spec.event.payload, "spec.event.payload")
        except CelError as error:
            raise SpecError(error.field, str(error)) from error
    if spec.bindings.label_selector:
        try:
            parse_label_selector_string(spec.bindings.label_selector)
        except ValueError as error:
            raise SpecError("spec.bindings.labelSelector", str(error)) from error
    return Compiled(tuple(Target(i, each) for i, each in enumerate(spec.watch)), payload)


def policy_of(source: EventSource, settings: Settings) -> Policy:
    """How to deliver: what the source leaves out comes from the operator's configuration (decision 0002)."""
    spec, configured = source.spec, settings.delivery
    retry = Retry(
        configured.retry_limit, configured.retry_backoff_seconds, configured.retry_max_backoff_seconds
    )
    delivery = spec.delivery.filled(
        DeliverySpec(configured.max_concurrency, configured.max_per_second, retry)
    )
    return Policy(
        namespace=spec.event.namespace or source.namespace,
        discriminator=spec.event.discriminator,
        broadcast=spec.event.broadcast,
        max_concurrency=_given(delivery.max_concurrency),
        max_per_second=_given(delivery.max_per_second),
        retry_limit=_given(delivery.retry.limit),
        backoff_seconds=_given(delivery.retry.backoff_seconds),
        max_backoff_seconds=_given(delivery.retry.max_backoff_seconds),
        dispatch_errors=delivery.dispatch_errors,
    )


def _given(value: Number | None) -> Number:
    """What `filled` filled in: the operator's configuration has a value for everything."""
    if value is None:
        raise ValueError("a delivery setting is given neither by the source nor by the configuration")
    return value


async def make_plan(
    source: EventSource,
    compiled: Compiled,
    services: Services,
    reviews: Reviews,
    on_namespaces: Callable[[], None],
) -> Plan:
    """Resolves kinds and namespaces, and asks for the rights.

    Args:
        source: the EventSource.
        compiled: its compiled parts.
        services: whom to ask.
        reviews: the verdicts since the last resync.
        on_namespaces: called from now on when namespaces come, go or change, if a selector looks at them.

    Raises:
        KubeError: the API server did not answer.
    """
    plan = Plan()
    client, discovery, settings = services.client, services.discovery, services.settings
    strict = settings.policy == "strict"
    need = send_need(source, strict=strict)
    if need is not None:
        answer = await denied(client, source, need, reviews)
        if answer is not None:
            plan.denials.append(answer)
            plan.send_denied = True
    for target in compiled.targets:
        at = f"spec.watch[{target.index}]"
        try:
            resource = await discovery.resolve(target.spec.api_version, target.spec.kind)
        except KindNotFound as error:
            plan.problems[target.index] = (Reason.KIND_NOT_FOUND, f"{at}.kind: {error.message}")
            continue
        except NotWatchable as error:
            message = f"{at}.kind: {error.message}; choose another kind"
            plan.problems[target.index] = (Reason.NOT_WATCHABLE, message)
            continue
        except KubeError as error:
            error.message = f"{at}.kind: whether {target.label} is served is not known: {error.message}"
            raise
        namespaces = [""]
        if resource.namespaced:
            try:
                namespaces = await _namespaces(source, target, services.namespaces, on_namespaces)
            except KubeError as error:
                if error.transient:
                    raise
                remedy = "let the operator list and watch namespaces, or use namespaces.names"
                message = f"{at}.namespaces.selector: {error.message}; {remedy}"
                plan.problems[target.index] = (Reason.NAMESPACES_FORBIDDEN, message)
                continue
        plan.namespaces[target.index] = len(namespaces)
        wide = resource.namespaced and bool(target.spec.namespaces and target.spec.namespaces.selector)
        for namespace in namespaces:
            need = watch_need(source, resource, namespace, strict=strict)
            answer = await denied(client, source, need, reviews) if need is not None else None
            if answer is not None:
                if not (wide and answer in plan.denials):
                    plan.denials.append(answer)
                plan.problems[target.index] = (Reason.DENIED, answer)
                continue
            feed = Feed(resource, namespace, target.spec.field_selector)
            plan.feeds[_key(feed, plan)] = (target, feed)
    return plan


def _key(feed: Feed, plan: Plan) -> str:
    """How the checkpoint knows a target on a feed: by what it reads, whatever its place in the list."""
    base = f"{feed.resource.api_version}/{feed.resource.plural}/{feed.namespace}/{feed.field_selector}"
    ordinal = 0
    while True:
        key = hashlib.blake2b(f"{base}#{ordinal}".encode(), digest_size=6).hexdigest()
        if key not in plan.feeds:
            return key
        ordinal += 1


def given_namespaces(source: EventSource, target: Target) -> list[str] | LabelSelector | None:
    """The namespaces that the spec names, [""] for all of them, or the selector that decides."""
    wanted = target.spec.namespaces
    if wanted is None:
        return [source.namespace]
    if wanted.all:
        return [""]
    return sorted(wanted.names) if wanted.names else wanted.selector


async def _namespaces(
    source: EventSource, target: Target, known: NamespaceWatch, on_change: Callable[[], None]
) -> list[str]:
    given = given_namespaces(source, target)
    if isinstance(given, list):
        return given
    matches = compile_labels(given)
    labels = await known.labels(source.uid, on_change)
    return sorted(name for name, each in labels.items() if matches(each))
