"""A stand-in for the API server as the commands see it: canned objects, recorded writes, finite watches."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

CORE = [
    ("namespaces", "Namespace", False),
    ("configmaps", "ConfigMap", True),
    ("secrets", "Secret", True),
    ("nodes", "Node", False),
]
SOURCES = "/apis/eventsource-operator.dev/v1alpha1"


class FakeKube:
    """Serves `objects` by path; a context manager.

    Attributes:
        objects: Path of each object → the object. Collections follow from the paths.
        allowed: What access reviews answer.
        watched: Watch events to send, one list for each watch; when none is left, watches are forbidden.
        writes: (method, path, body) of what was asked for beyond reading and reviews.
        refused: Paths that answer 403.
        missing: Whether EventSource has no CustomResourceDefinition.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.allowed = True
        self.watched: list[list[dict[str, Any]]] = []
        self.writes: list[tuple[str, str, Any]] = []
        self.refused: set[str] = set()
        self.missing = False
        self.on_patch: Callable[[str, Any], None] = lambda _path, _body: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, folder: Path, namespace: str = "team-a") -> str:
        """A kubeconfig whose context leads here."""
        path = folder / "kubeconfig"
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "me", "namespace": namespace}}
            ],
        }
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    def add(self, kind: str, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
        """A core object, or an EventSource, with a uid and a version."""
        plural = {"EventSource": "eventsources"}.get(kind) or next(p for p, k, _ in CORE if k == kind)
        base = SOURCES if kind == "EventSource" else "/api/v1"
        meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(10 + len(self.objects))}
        if namespace:
            meta["namespace"] = namespace
        place = f"/namespaces/{namespace}" if namespace else ""
        obj = {"metadata": meta | parts.pop("metadata", {}), **parts}
        if kind == "EventSource":
            obj |= {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": kind}
        self.objects[f"{base}{place}/{plural}/{name}"] = obj
        return obj

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """What a GET gives."""
        if path == "/api/v1":
            verbs = ["get", "list", "watch"]
            items = [{"name": p, "kind": k, "namespaced": n, "verbs": verbs} for p, k, n in CORE]
            return 200, {"resources": items}
        if path in self.refused:
            return 403, {
                "kind": "Status",
                "code": 403,
                "reason": "Forbidden",
                "message": f"no list of {path}",
            }
        if path in self.objects:
            return 200, self.objects[path]
        parent, _, plural = path.rpartition("/")
        found = [obj for where, obj in self.objects.items() if _within(where, parent, plural)]
        if not found and plural not in {p for p, _, _ in CORE} | {"eventsources"}:
            return 404, {
                "kind": "Status",
                "code": 404,
                "reason": "NotFound",
                "message": f"{plural!r} not found",
            }
        selector = query.get("fieldSelector", [""])[0]
        for term in filter(None, selector.split(",")):
            field, _, value = term.partition("=")
            found = [obj for obj in found if obj["metadata"].get(field.removeprefix("metadata.")) == value]
        return 200, {"metadata": {"resourceVersion": "100"}, "items": found}


def _within(where: str, parent: str, plural: str) -> bool:
    """Whether an object belongs to a collection: of its namespace, or of all."""
    collection, _, _ = where.rpartition("/")
    if collection == f"{parent}/{plural}":
        return True
    base, _, rest = collection.partition("/namespaces/")
    return base == parent and rest.endswith(f"/{plural}")


def _handler(kube: FakeKube) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            if kube.missing and url.path.startswith(SOURCES):
                self._send_bytes(404, b"404 page not found\n")
            elif "watch" in query:
                self._watch()
            else:
                self._send(*kube.answer(url.path, query))

        def do_POST(self) -> None:
            body = self._body()
            self._send(201, body | {"status": {"allowed": kube.allowed}})

        def do_PATCH(self) -> None:
            body = self._body()
            kube.writes.append(("PATCH", self.path, body))
            kube.on_patch(self.path, body)
            self._send(*kube.answer(self.path, {}))

        def _watch(self) -> None:
            if not kube.watched:
                self._send(
                    403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no more watches"}
                )
                return
            lines = "".join(json.dumps(event) + "\n" for event in kube.watched.pop(0))
            self._send_bytes(200, lines.encode())

        def _body(self) -> Any:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        def _send(self, status: int, value: Any) -> None:
            self._send_bytes(status, json.dumps(value).encode())

        def _send_bytes(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
