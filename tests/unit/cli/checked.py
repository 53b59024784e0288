"""A source to be checked, and what `check` says of it as JSON."""

import json
from typing import Any

from click.testing import Result

SOURCE: dict[str, Any] = {
    "apiVersion": "eventsource-operator.dev/v1alpha1",
    "kind": "EventSource",
    "metadata": {"name": "app-config", "namespace": "team-a"},
    "spec": {"watch": [{}]},
}


def source(**spec: Any) -> dict[str, Any]:
    """The source with these parts of its spec."""
    return SOURCE | {"spec": SOURCE["spec"] | spec}


def items(result: Result) -> Any:
    """What is told of each source that was checked."""
    return json.loads(result.stdout)["items"]
