"""Times as Kubernetes and CloudEvents write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from math import floor

_MICROS = 1_000_000


def rfc3339(seconds: float, timespec: str = "auto") -> str:
    """A wall clock time (Unix seconds) in RFC 3339, UTC, with ``Z``; ``timespec`` as `datetime.isoformat` has it.

    Whole seconds and milliseconds, which each event asks for, cost a tenth of what the calendar does.
    """
    if timespec in {"seconds", "milliseconds"}:
        whole = floor(seconds)
        micros = round((seconds - whole) * _MICROS)
        if micros == _MICROS:
            whole, micros = whole + 1, 0
        return f"{_second(whole)}Z" if timespec == "seconds" else f"{_second(whole)}.{micros // 1000:03d}Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


@lru_cache(maxsize=8)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).isoformat().removesuffix("+00:00")
