"""The hot path of a watch: from the pieces that a socket delivers to batches of JSON lines.

No limit on a line's length (an object may have 1 MiB and more), no decoding, one copy.
"""

from __future__ import annotations

from typing import Self

import aiohttp

from eventsource_operator.kube.errors import Unreachable


class LineSplitter:
    """Puts the pieces of a stream together to lines of any length, each byte copied once."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their line ends; empty lines are left out."""
        lines = chunk.split(b"\n")
        if len(lines) == 1:
            self._parts.append(chunk)
            return []
        if self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts = []
        rest = lines.pop()
        if rest:
            self._parts.append(rest)
        return [line for line in lines if line]


class WatchStream:
    """The batches of one open watch: iterate with `async for`.

    Ends when the server closes the watch (it does so after its `timeoutSeconds`).
    """

    __slots__ = ("_content", "_splitter")

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._splitter = LineSplitter()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        """The next complete JSON lines, as many as had arrived: never an empty list.

        Raises:
            Unreachable: The connection broke, or nothing came for the idle time.
        """
        while True:
            try:
                chunk = await self._content.readany()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise unreachable(error) from error
            if not chunk:
                raise StopAsyncIteration
            lines = self._splitter.feed(chunk)
            if lines:
                return lines


def unreachable(error: BaseException) -> Unreachable:
    """What the network's failures become; a time-out has no text of its own, so its class is told too."""
    reason = "Timeout" if isinstance(error, TimeoutError) else "ConnectionFailed"
    return Unreachable(0, reason, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
