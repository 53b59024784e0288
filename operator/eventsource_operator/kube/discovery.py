"""Which resource serves a kind: the API server's discovery, cached.

A kind that is missing is looked for again at most every two seconds per group version,
so that a thousand sources that wait for the same CRD cost one request, not a thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.errors import KubeError, NotFound

_REFRESH_SECONDS = 2.0
_NEEDED = frozenset({"list", "watch"})
# One answer holds every group: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server serves it.

    Attributes:
        group: API group, empty for the core group.
        version: Version in the group, such as `v1`.
        kind: CamelCase kind.
        plural: Name in paths and in RBAC rules.
        namespaced: Whether its objects live in namespaces.
        verbs: What the API server can do with it (not: what we may).
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    verbs: frozenset[str] = _NEEDED

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`plural.group` as kubectl and CRD names have it; the plural alone in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The path of the collection (everywhere or in a namespace), of an object, or of its subresource."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
            if subresource:
                parts.append(subresource)
        return "/".join(parts)


class KindNotFound(NotFound):
    """The API server does not serve this kind (yet).

    Attributes:
        hint: What was probably meant, or how to look; a sentence of its own.
    """

    def __init__(self, api_version: str, kind: str, hint: str) -> None:
        self.api_version = api_version
        self.kind = kind
        self.hint = hint
        super().__init__(
            404, "KindNotFound", f"the API server serves no kind {kind} in {api_version}: {hint}"
        )


class NotWatchable(KubeError):  # noqa: N818 - as in kube.errors
    """The kind exists, but the API server can not list or watch it (a review, a binding)."""


@dataclass(slots=True)
class _GroupVersion:
    """What is known about one group version; `fetched` is a monotonic time."""

    kinds: dict[str, Resource] = field(default_factory=dict)
    names: list[tuple[str, str]] = field(default_factory=list)  # (other name, kind)
    fetched: float = float("-inf")
    hints: dict[str, str] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Discovery:
    """Finds the resource of a kind."""

    def __init__(self, client: KubeClient, *, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked yet.

        Args:
            client: The API server.
            now: Monotonic seconds.
        """
        self._client = client
        self._now = now
        self._known: dict[str, _GroupVersion] = {}

    async def resolve(self, api_version: str, kind: str) -> Resource:
        """The resource that serves a kind.

        Raises:
            KindNotFound: It is not served; asked again after two seconds.
            NotWatchable: It is, but can not be listed and watched.
            KubeError: The API server could not be asked.
        """
        entry = self._known.setdefault(api_version, _GroupVersion())
        if kind not in entry.kinds:
            async with entry.lock:
                if kind not in entry.kinds and self._now() - entry.fetched >= _REFRESH_SECONDS:
                    await self._refresh(api_version, entry)
        resource = entry.kinds.get(kind)
        if resource is None:
            raise KindNotFound(api_version, kind, await self._hint(api_version, kind, entry))
        if not resource.verbs >= _NEEDED:
            missing = " and ".join(sorted(_NEEDED - resource.verbs))
            message = f"{kind} in {api_version} cannot be watched: the API server has no {missing} for it"
            raise NotWatchable(405, "NotWatchable", message)
        return resource

    def invalidate(self, api_version: str) -> None:
        """Forget a group version: a watch answered 404, so its CRD went away or changed."""
        self._known.pop(api_version, None)

    async def _refresh(self, api_version: str, entry: _GroupVersion) -> None:
        group, _, version = api_version.rpartition("/")
        listing: Any = {}
        with contextlib.suppress(NotFound):
            listing = await self._client.request(
                "GET", f"/apis/{group}/{version}" if group else f"/api/{version}"
            )
        entry.kinds, entry.names, entry.hints = {}, [], {}
        for item in listing.get("resources") or []:
            if "/" in item["name"]:
                continue  # a subresource
            resource = Resource(
                group,
                version,
                item["kind"],
                item["name"],
                bool(item["namespaced"]),
                frozenset(item.get("verbs") or ()),
            )
            entry.kinds[resource.kind] = resource
            others = [item["name"], item.get("singularName") or "", *(item.get("shortNames") or [])]
            entry.names += [(other, resource.kind) for other in others if other]
        entry.fetched = self._now()

    async def _hint(self, api_version: str, kind: str, entry: _GroupVersion) -> str:
        if kind not in entry.hints:
            near = nearest(kind, entry.kinds, entry.names)
            elsewhere = [] if near else await self._elsewhere(kind)
            entry.hints[kind] = _sentence(near, elsewhere, api_version, served=bool(entry.kinds))
        return entry.hints[kind]

    async def _elsewhere(self, kind: str) -> list[str]:
        """The other group versions that serve the kind; empty when the server cannot tell."""
        found = []
        with contextlib.suppress(KubeError):
            for root in ("/api", "/apis"):
                answer = await self._client.request("GET", root, accept=f"{_AGGREGATED},application/json")
                found += _groups_with(kind, answer)
        return found


def nearest(kind: str, kinds: Iterable[str], names: Iterable[tuple[str, str]]) -> str | None:
    """The kind that somebody probably meant: other case, plural, short name or a slip of the pen."""
    lowered = kind.lower()
    for candidate in kinds:
        if candidate.lower() == lowered:
            return candidate
    for name, candidate in names:
        if name.lower() == lowered:
            return candidate
    by_lower = {candidate.lower(): candidate for candidate in kinds}
    close = difflib.get_close_matches(lowered, by_lower, n=1, cutoff=0.8)
    return by_lower[close[0]] if close else None


def _groups_with(kind: str, answer: Any) -> list[str]:
    """The `apiVersion`s that serve a kind, from an `APIGroupDiscoveryList`."""
    found = []
    for group in answer.get("items") or []:
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or []:
            for resource in version.get("resources") or []:
                response = resource.get("responseKind") or {}
                if str(response.get("kind") or "").lower() == kind.lower():
                    found.append(f"{name}/{version['version']}" if name else str(version["version"]))
    return found


def _sentence(near: str | None, elsewhere: list[str], api_version: str, *, served: bool) -> str:
    if near:
        return f"did you mean kind {near}?"
    if elsewhere:
        return f"it is served in {', '.join(elsewhere[:5])}"
    if not served:
        return f"no {api_version} is served; is its CustomResourceDefinition installed?"
    return "see `kubectl api-resources`"
