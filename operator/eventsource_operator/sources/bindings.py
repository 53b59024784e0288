"""Who listens: the WorkflowEventBindings, listed once for all sources that ask for the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from eventsource_operator.argo.errors import ArgoError, Forbidden, Unauthorized
from eventsource_operator.core.text import in_namespace
from eventsource_operator.delivery.endpoint import Endpoint, EndpointKey
from eventsource_operator.delivery.sender import CredentialsError

_FAILED_SECONDS = 5.0
"""How long a listing that failed counts: shared by all who ask at once, and soon tried again."""

_KEPT_SECONDS = 2 * 86400.0
"""How long a listing that nobody asked for again is kept: twice the longest resync."""

_TIDY_SECONDS = 600.0
"""Between looks for such: a start with a thousand namespaces must not look through all for each."""


class Listing(NamedTuple):
    """What a listing found, or why it failed and what to do (``error``); ``at`` is wall clock, ``taken`` monotonic.

    Both times in seconds.
    """

    names: tuple[str, ...]
    namespaces: frozenset[str]
    at: float
    taken: float
    error: str = ""


class _Key(NamedTuple):
    endpoint: EndpointKey
    namespace: str
    label_selector: str
    field_selector: str


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock
    listing: Listing | None = None


class BindingsBoard:
    """Listings by server, credentials, namespace and selectors."""

    def __init__(self) -> None:
        self._entries: dict[_Key, _Entry] = {}
        self._tidied_at = float("-inf")
        self.lists = 0

    async def listing(
        self,
        endpoint: Endpoint,
        namespace: str,
        label_selector: str,
        field_selector: str,
        max_age: float,
        refresh: Callable[[Endpoint], Awaitable[None]] | None = None,
    ) -> Listing:
        """The bindings, not older than ``max_age`` seconds; empty namespace: everywhere. Never raises.

        ``refresh`` is awaited before the server is asked, for all who share the answer: it reads credentials again.
        """
        key = _Key(endpoint.key, namespace, label_selector, field_selector)
        entry = self._entries.get(key) or self._add(key)
        async with entry.lock:
            known = entry.listing
            if known is not None:
                good = min(max_age, _FAILED_SECONDS) if known.error else max_age
                if time.monotonic() - known.taken < good:
                    return known
            if refresh is not None:
                await refresh(endpoint)
            entry.listing = await self._list(endpoint, key)
            return entry.listing

    def _add(self, key: _Key) -> _Entry:
        """A new entry takes the place of those that nobody needs any more: namespaces come and go."""
        now = time.monotonic()
        if now - self._tidied_at >= _TIDY_SECONDS:
            self._tidied_at = now
            for other, entry in tuple(self._entries.items()):
                taken = now if entry.listing is None or entry.lock.locked() else entry.listing.taken
                if now - taken > _KEPT_SECONDS:
                    del self._entries[other]
        entry = self._entries[key] = _Entry(asyncio.Lock())
        return entry

    async def _list(self, endpoint: Endpoint, key: _Key) -> Listing:
        self.lists += 1
        names: list[str] = []
        namespaces: set[str] = set()
        error = ""
        try:
            client = await endpoint.client()
            options = {"label_selector": key.label_selector, "field_selector": key.field_selector}
            given: dict[str, Any] = {name: value for name, value in options.items() if value}
            async for binding in client.list_workflow_event_bindings(key.namespace, **given):
                names.append(binding.name)
                namespaces.add(binding.namespace)
        except (ArgoError, CredentialsError) as failure:
            error = f"{key.endpoint.url}: {failure}; {_remedy(failure, key.namespace)}"
        return Listing(tuple(sorted(names)), frozenset(namespaces), time.time(), time.monotonic(), error)


def _remedy(failure: ArgoError | CredentialsError, namespace: str) -> str:
    if isinstance(failure, Forbidden):
        where = in_namespace(namespace)
        return f"grant list workfloweventbindings.argoproj.io {where} to whom the token belongs"
    if isinstance(failure, Unauthorized):
        return "renew the token"
    if isinstance(failure, CredentialsError):
        return "create it, or give the operator the right to get it"
    return "see why the server is away; it is tried again by itself"
