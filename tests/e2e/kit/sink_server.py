"""An Argo Server that only records: what was sent, when, by whom. Runs in a pod of the operator's own image.

`POST /api/v1/events/…` is kept in memory and answered as the real one does, `GET …/workflow-event-bindings/…`
has one binding, `GET /records` gives everything back as JSON.

A program of one file for the standard library alone, and so not the server of `tests/support/sink.py`: nothing of the
tests is in the image, and nothing that the operator is free to drop may be needed here.
"""

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RECORDS: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """One connection of a sender."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Records an event; the answer goes out after it is recorded, as an acknowledgement must."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = body.get("data", {})
        stored = data.get("object") or {}
        RECORDS.append(
            {
                "at": time.time(),
                "from": self.client_address[0],
                "id": body.get("id"),
                "type": data.get("type"),
                "name": data.get("name"),
                "uid": data.get("uid"),
                "version": data.get("resourceVersion"),
                "mark": (stored.get("data") or {}).get("mark"),
            }
        )
        self._answer({})

    def do_GET(self) -> None:
        """The records, or a list of bindings, or a sign of life."""
        if self.path == "/records":
            self._answer(list(RECORDS))
        elif "/workflow-event-bindings/" in self.path:
            binding = {
                "metadata": {"name": "sink", "namespace": "default"},
                "spec": {"event": {"selector": "true"}},
            }
            self._answer({"metadata": {"resourceVersion": "1"}, "items": [binding]})
        else:
            self._answer({"recorded": len(RECORDS)})

    def _answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Silent: a line per event would be the sink's main work."""


class Server(ThreadingHTTPServer):
    """Takes as many connections at a time as a new leader opens when it catches up; the default are five."""

    daemon_threads = True
    request_queue_size = 1024


def main() -> None:
    """Serves on port 2746 until SIGTERM."""
    server = Server(("", 2746), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Event().wait()


if __name__ == "__main__":
    main()
