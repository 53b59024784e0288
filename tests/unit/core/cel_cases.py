"""The object, its former state and the changed paths that the tests of CEL evaluate expressions on."""

from typing import Any

from eventsource_operator.core.cel import compile_expression

OBJECT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "app-config",
        "namespace": "team-a",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"team": "shop"},
        "annotations": {"example.com/notify": "true"},
    },
    "data": {"env": "prod", "config.json": '{"debug": true}', "LOG_LEVEL": "debug", "text": "é"},
    "spec": {"replicas": 3, "ratio": 0.5, "template": {"spec": {"containers": [{"image": "nginx"}]}}},
    "status": {"phase": "Ready"},
    "list": [1, 2, 3],
    "nothing": None,
}
OLD: dict[str, Any] = {**OBJECT, "status": {"phase": "Pending"}, "spec": {"replicas": 1}}
CHANGED = ("data.LOG_LEVEL", "status.phase")


def evaluate(text: str, obj: Any = OBJECT, old: Any = OLD, changed: Any = CHANGED) -> Any:
    """What an expression gives for a change of the object."""
    return compile_expression(text, "field").evaluate("Modified", obj, old, changed)
