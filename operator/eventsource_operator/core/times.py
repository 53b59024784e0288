"""Times as Kubernetes and CloudEvents write them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float, timespec: str = "auto") -> str:
    """A wall clock time (Unix seconds) in RFC 3339, UTC, with ``Z``; ``timespec`` as `datetime.isoformat` has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
