"""Log lines: text for people, JSON for machines, one line each.

Names and server messages that get into a line come from the cluster and are not
trusted: control characters (line ends, terminal escapes) are made visible. No caller
passes a token, a Secret's value or a payload.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import orjson

# Passed as `extra={…}`; anything else in a record stays out of the line.
EXTRA_FIELDS: Final = (
    "source", "event_id", "object", "attempt", "type", "reason", "seconds", "status", "namespace", "target",
)  # fmt: skip
# Chatter of libraries: what they have to say, the operator says with its context.
_LEVELS: Final = {
    "kopf": logging.WARNING,
    "kopf.objects": logging.WARNING,
    "aiohttp": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "urllib3": logging.WARNING,
    "kubernetes": logging.WARNING,
    "kubernetes.aio.leaderelection": logging.CRITICAL,  # an error each two seconds; kube.leader tells once
}


def setup_logging(
    log_format: Literal["text", "json"], level: str, stream: TextIO | None = None
) -> logging.Handler:
    """Send all logging of the process to one stream, in one format.

    Args:
        log_format: `text` or `json`.
        level: Name of the level of the operator's own loggers, in any case.
        stream: Where to; None: standard error.

    Returns:
        The handler, now the root logger's only one.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Change the level while running; libraries stay quieter than the operator."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number)
    for name, least in _LEVELS.items():
        logging.getLogger(name).setLevel(max(least, number))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `msg`, then the extra fields, then `exc`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; JSON's own escaping keeps it one."""
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": visible(record.getMessage()),
        }
        for name, value in _extra(record).items():
            line[name] = visible(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exc"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message key=value …`; tracebacks follow, each line marked with ` | `."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback's lines if there is one."""
        extra = "".join(f" {name}={visible(str(value))}" for name, value in _extra(record).items())
        line = (
            f"{_timestamp(record)} {record.levelname:<7} {record.name}: {visible(record.getMessage())}{extra}"
        )
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n | {visible(part)}" for part in trace)
        return line


def visible(text: str) -> str:
    """The text with each character that is not printable written as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _extra(record: logging.LogRecord) -> dict[str, object]:
    values = vars(record)
    return {name: values[name] for name in EXTRA_FIELDS if values.get(name) is not None}
