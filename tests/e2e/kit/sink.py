"""Deploys the recording sink, writes changes at full speed, and compares what arrived with what was done."""

import dataclasses
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.e2e.kit.argo import PATIENT, RESTRICTED
from tests.e2e.kit.cluster import IMAGE, Cluster

NAME = "sink"
WRITERS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A change that the API server acknowledged."""

    name: str
    type: str
    mark: str
    """Value that only this change wrote; for a deletion, the one that was there."""


def deploy(cluster: Cluster, namespace: str) -> str:
    """Starts the sink; returns its URL for EventSources."""
    program = (Path(__file__).parent / "sink_server.py").read_text()
    metadata = {"name": NAME, "namespace": namespace}
    container = {
        "name": NAME,
        "image": IMAGE,
        "command": ["python3", "/program/sink_server.py"],
        "readinessProbe": {"httpGet": {"path": "/", "port": 2746}, **PATIENT},
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        "securityContext": RESTRICTED,
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"sink_server.py": program}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": [{"port": 2746, "targetPort": 2746}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                        "volumes": [{"name": "program", "configMap": {"name": NAME}}],
                    },
                },
            },
        },
    )
    cluster.rolled_out(namespace, NAME)
    return f"http://{NAME}.{namespace}.svc:2746"


def event_source(namespace: str, name: str, url: str) -> dict[str, Any]:
    """An EventSource that sends every change of the writers' ConfigMaps to the sink."""
    return {
        "apiVersion": "eventsource-operator.dev/v1alpha1",
        "kind": "EventSource",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "watch": [{"kind": "ConfigMap", "labelSelector": {"matchLabels": {"written-by": name}}}],
            "server": {"url": url},
        },
    }


def records(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """Everything that the sink has got so far, through the API server."""
    path = f"/api/v1/namespaces/{namespace}/services/{NAME}:2746/proxy/records"
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "--raw", path))
    return found


class Writers:
    """Creates, changes and deletes ConfigMaps from several threads at a steady pace, and notes each success.

    Each writer has names of its own, so that the order per name is the order of its calls.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, label: str, *, total: int, per_second: float
    ) -> None:
        self.changes: list[Change] = []
        self._cluster, self._namespace, self._label = cluster, namespace, label
        self._pace = WRITERS / per_second
        self._threads = [
            threading.Thread(target=self._write, args=(number, total // WRITERS), daemon=True)
            for number in range(WRITERS)
        ]
        self._errors: list[BaseException] = []
        self._enough = threading.Event()

    def start(self) -> None:
        """Starts writing."""
        for thread in self._threads:
            thread.start()

    def enough(self) -> None:
        """Lets them end before all is written."""
        self._enough.set()

    @property
    def done(self) -> int:
        """How many changes were acknowledged so far."""
        return len(self.changes)

    def finish(self) -> list[Change]:
        """Waits for the last change.

        Raises:
            AssertionError: a write failed.
        """
        for thread in self._threads:
            thread.join(timeout=300)
        assert not self._errors, self._errors
        return self.changes

    def _write(self, number: int, total: int) -> None:
        try:
            self._write_all(number, total)
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self._errors.append(error)

    def _write_all(self, number: int, total: int) -> None:
        api, dice = self._cluster.core(), random.Random(number)
        alive: dict[str, str] = {}
        due = time.monotonic()
        for count in range(total):
            name, mark = f"{self._label}-{number}-{dice.randrange(12)}", f"{number}.{count}"
            body = {"metadata": {"name": name, "labels": {"written-by": self._label}}, "data": {"mark": mark}}
            if name not in alive:
                api.create_namespaced_config_map(self._namespace, body)
                self.changes.append(Change(name, "Added", mark))
                alive[name] = mark
            elif dice.random() < 0.1:
                api.delete_namespaced_config_map(name, self._namespace)
                self.changes.append(Change(name, "Deleted", alive.pop(name)))
            else:
                api.patch_namespaced_config_map(name, self._namespace, body)
                self.changes.append(Change(name, "Modified", mark))
                alive[name] = mark
            due += self._pace
            if self._enough.wait(max(0.0, due - time.monotonic())):
                return


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """What arrived against what was done."""

    lost: list[Change]
    unexpected: list[tuple[str, str, str]]
    duplicates: int
    """Events beyond the first with the same id."""
    ambiguous: int
    """Ids that stand for two different changes, and changes that came under two ids."""
    out_of_order: list[str]
    """Names whose first arrivals are not in the order of the changes."""


def compare(changes: Iterable[Change], received: list[dict[str, Any]]) -> Comparison:
    """Compares per object, intermediate states included."""
    done = [(change.name, change.type, change.mark) for change in changes]
    arrived = [(str(item["name"]), str(item["type"]), str(item["mark"])) for item in received]
    meanings: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
    names: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for item, key in zip(received, arrived, strict=True):
        meanings[str(item["id"])].add(key)
        names[key].add(str(item["id"]))
    counted = Counter(str(item["id"]) for item in received)
    first_seen = list(dict.fromkeys(arrived))
    return Comparison(
        lost=[Change(*key) for key in done if key not in set(arrived)],
        unexpected=[key for key in first_seen if key not in set(done)],
        duplicates=sum(counted.values()) - len(counted),
        ambiguous=sum(len(keys) > 1 for keys in meanings.values())
        + sum(len(ids) > 1 for ids in names.values()),
        out_of_order=sorted(
            name
            for name in {key[0] for key in done}
            if [key for key in first_seen if key[0] == name] != [key for key in done if key[0] == name]
        ),
    )
