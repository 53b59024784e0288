"""Says on standard error what is going on: one line that refreshes on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

TERMINAL_SECONDS = 1.0
PLAIN_SECONDS = 30.0


def clock(seconds: float) -> str:
    """Elapsed time as `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Step:
    """A piece of work that takes its time: announces itself, shows that it is alive, says how it ended."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._terminal = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._show("…")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._show("done" if error is None else "failed", last=True)

    def _tick(self) -> None:
        while not self._ended.wait(TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS):
            self._show("…")

    def _show(self, state: str, *, last: bool = False) -> None:
        text = f"{self._label} {state} {clock(time.monotonic() - self._started)}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
