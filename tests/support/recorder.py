"""A sink that tells which changes it processed, to be compared with what was done in the cluster."""

import ssl
from dataclasses import dataclass

from tests.support.sink import Request, Sink


@dataclass(frozen=True, slots=True)
class Received:
    """One event that was processed: `at` in seconds of the monotonic clock."""

    id: str
    type: str
    key: str
    uid: str
    version: int
    at: float
    number: int


class Recorder(Sink):
    """For events whose body is the usual one.

    Attributes:
        received: the processed events in the order of their arrival.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.received: list[Received] = []

    def _processed(self, event: Request) -> None:
        body = event.body
        data = body["data"]
        self.received.append(
            Received(
                id=body["id"],
                type=data["type"],
                key=data["name"],
                uid=data["uid"],
                version=int(data.get("resourceVersion") or 0),  # a deletion found by comparison has none
                at=event.at,
                number=len(self.received),
            )
        )
