"""One object as a stream saw it; what several sources ask of it is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventsource_operator.core.diff import changed_paths
from eventsource_operator.core.ledger import Digests
from eventsource_operator.core.paths import Path, leaf_digests
from eventsource_operator.core.redaction import sanitize


class Seen:
    """An object in a watch event or a list, with the state before it where that is known.

    ``rv`` is the resourceVersion as a number: comparable within a resource (guaranteed since Kubernetes 1.35).
    ``raw`` must not be changed by anybody.
    """

    __slots__ = (
        "_changed",
        "_digests",
        "_object",
        "_old",
        "_past",
        "key",
        "labels",
        "name",
        "namespace",
        "raw",
        "rv",
        "uid",
    )

    def __init__(
        self, raw: dict[str, Any], past: Callable[[Seen], dict[str, Any] | None] | None = None
    ) -> None:
        """Takes an object that names its kind; ``past`` finds the sanitized state before it, when asked."""
        meta = raw["metadata"]
        self.raw = raw
        self.name: str = meta["name"]
        self.namespace: str = meta.get("namespace") or ""
        self.key = f"{self.namespace}/{self.name}"
        self.uid: str = meta.get("uid") or ""
        self.rv = int(meta["resourceVersion"])
        self.labels: dict[str, str] = meta.get("labels") or {}
        self._past = past
        self._old: dict[str, Any] | None = None
        self._object: dict[str, Any] | None = None
        self._digests: dict[tuple[Path, ...], Digests] | None = None
        self._changed: tuple[str, ...] | None = None

    @property
    def object(self) -> dict[str, Any]:
        """The object without managedFields and last-applied, a Secret's values replaced by digests."""
        if self._object is None:
            self._object = sanitize(self.raw, key=self.uid.encode())
        return self._object

    @property
    def old(self) -> dict[str, Any] | None:
        """The state before, sanitized; None when it is not known."""
        if self._past is not None:
            self._old = self._past(self)
            self._past = None
        return self._old

    @property
    def changed(self) -> tuple[str, ...] | None:
        """The paths that differ from the state before; None when that is not known."""
        if self._changed is None and self.old is not None:
            self._changed = changed_paths(self.old, self.object)
        return self._changed

    def digests(self, paths: tuple[Path, ...]) -> Digests:
        """Digests of the leaves below ``paths``."""
        if self._digests is None:
            self._digests = {}
        found = self._digests.get(paths)
        if found is None:
            found = self._digests[paths] = leaf_digests(self.object, paths)
        return found


def seen_as(
    raw: dict[str, Any],
    api_version: str,
    kind: str,
    past: Callable[[Seen], dict[str, Any] | None] | None = None,
) -> Seen:
    """An object that may not say what it is: items of a list of a built-in kind do not."""
    raw.setdefault("apiVersion", api_version)
    raw.setdefault("kind", kind)
    return Seen(raw, past)
