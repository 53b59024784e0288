"""The Argo Server client: usable as a library of its own.

`protocol` (pure) says what is sent and what answers mean; `ArgoClient` (requests) and `AsyncArgoClient`
(asyncio) carry it. The clients are loaded at first use, so that a user of one does not pay for the other.
"""

import importlib
from typing import TYPE_CHECKING, Any

from eventsource_operator.argo.config import ServerConfig
from eventsource_operator.argo.errors import ArgoError, Decision

if TYPE_CHECKING:
    from eventsource_operator.argo.asyncio_transport import AsyncArgoClient
    from eventsource_operator.argo.requests_transport import ArgoClient

__all__ = ["ArgoClient", "ArgoError", "AsyncArgoClient", "Decision", "ServerConfig"]

_MODULES = {"ArgoClient": "requests_transport", "AsyncArgoClient": "asyncio_transport"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
