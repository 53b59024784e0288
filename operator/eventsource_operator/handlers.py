"""Kopf's side: which objects are watched, and whom to tell. Each handler parses, delegates and returns nothing.

Only `on.event` handlers: they write nothing on the watched objects and add no finalizer (Kopf's other handlers do).
"""

from __future__ import annotations

from typing import Any

import kopf

from eventsource_operator.app import App
from eventsource_operator.settings import Settings, process_environment

CONFIG_LABEL = "eventsource-operator.dev/config"


def configure(settings: kopf.OperatorSettings) -> None:
    """Kopf as this operator needs it: no scanning for CRDs, no events, no peering."""
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.networking.connect_timeout = 10
    settings.watching.label_selectors["configmaps"] = f"{CONFIG_LABEL}=true"


def scope(settings: Settings) -> dict[str, Any]:
    """Where Kopf watches."""
    if settings.all_namespaces:
        return {"clusterwide": True}
    return {"namespaces": sorted({*settings.namespaces, settings.operator_namespace})}


@kopf.on.startup()
async def start(memo: kopf.Memo, settings: kopf.OperatorSettings, **_: Any) -> None:
    """Builds the application when Kopf's own command runs this module; `run` has built it already."""
    if "app" not in memo:
        configure(settings)
        memo.app = await App.create(Settings.from_env(process_environment()))
        memo.own = True
        await memo.app.start()


@kopf.on.cleanup()
async def end(memo: kopf.Memo, **_: Any) -> None:
    """Ends what `start` built."""
    if memo.get("own"):
        await memo.app.stop()


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """In the cluster the service account, outside the kubeconfig."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.event("eventsource-operator.dev", "v1alpha1", "eventsources")
async def event_source(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """An EventSource was added, changed or deleted."""
    body = event["object"]
    if event["type"] == "DELETED":
        memo.app.source_gone(body["metadata"]["uid"])
    else:
        memo.app.source_seen(body)


@kopf.on.event("", "v1", "configmaps", labels={CONFIG_LABEL: "true"})
async def configuration(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """The operator-wide configuration changed."""
    body = event["object"]
    if body["metadata"]["namespace"] == memo.app.base.operator_namespace:
        memo.app.configure({} if event["type"] == "DELETED" else body.get("data") or {})
