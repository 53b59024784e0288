"""Untrusted text made safe to show: names, messages and reasons come from clusters, servers and users.

What a terminal, a log line, a status message or an HTTP header could take for a command is replaced, and
the length is bounded. Nothing here decides what may be shown; that is the caller's business. The one phrase that all
messages share, where something is or is missing, is formed here too.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

# A terminal's control sequences (ECMA-48): CSI with parameters, OSC up to its end, other short escapes.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]"
)

_HEADER_SAFE = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


def clean(text: str, limit: int = 1024) -> str:
    """Returns ``text`` in printable form, at most ``limit`` characters long.

    White space (line breaks and tabs included) becomes a space; a terminal's escape sequence and every
    other character that does not print (controls, bidirectional overrides and other format characters, lone
    surrogates, private use) becomes U+FFFD. A longer text ends in an ellipsis, which counts.

    Args:
        text: anything.
        limit: length of the result in characters, at least 1.
    """
    bounded = text if len(text) <= limit else text[: limit - 1] + _ELLIPSIS
    if bounded.isprintable():
        return bounded
    return "".join(map(_printable, _ESCAPES.sub(_REPLACEMENT, bounded)))


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else _REPLACEMENT


def in_namespace(namespace: str | None) -> str:
    """Returns "in namespace …", or "in all namespaces" for none, which is how RBAC and the API's paths mean that."""
    return f"in namespace {namespace}" if namespace else "in all namespaces"


def header_value(text: str) -> str:
    """Returns ``text`` as an HTTP header's value: printable ASCII that ``urllib.parse.unquote`` turns back.

    Everything but printable ASCII is percent-encoded as UTF-8, as RFC 8187 does and the CloudEvents HTTP
    binding asks for; so is ``%`` itself, and a space at either end, which a server would strip. Kubernetes
    names pass unchanged.
    """
    if text.isascii() and text.isprintable() and "%" not in text and text == text.strip(" "):
        return text
    encoded = quote(text, safe=_HEADER_SAFE, errors="replace")
    inner = encoded.strip(" ")
    if not inner:
        return "%20" * len(encoded)
    head = len(encoded) - len(encoded.lstrip(" "))
    tail = len(encoded) - len(encoded.rstrip(" "))
    return "%20" * head + inner + "%20" * tail
