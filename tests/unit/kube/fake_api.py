"""Stand-ins for the API server's client and for the clock."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from eventsource_operator.kube import errors
from eventsource_operator.kube.client import KubeClient


class FakeApi:
    """Answers requests from a table and remembers them."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, *, body: Any = None, **_options: Any) -> Any:
        self.asked.append((method, path, body))
        await asyncio.sleep(0)
        answer = self.answers.get(f"{method} {path}", errors.NotFound(404, "NotFound", "no"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> KubeClient:
        return cast("KubeClient", self)


class Clock:
    """Seconds that go on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
