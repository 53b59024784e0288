"""JSON that nests deeper than the parser follows, cut where nobody looks any more.

The API server takes objects of 10,000 levels, orjson parses 1,024. Without this a tenant could stop every watch and
list that meets such an object.
"""

from __future__ import annotations

import re
from typing import Final

LEVELS: Final = 600
"""Few enough to be parsed; too many to be written as JSON again (254), so that such an object is sent as a reference
that says `truncated`, and not as something that it is not."""

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_OPENS: Final = b"[{"


def cut(data: bytes, levels: int = LEVELS) -> bytes:
    """The same JSON text with ``null`` in the place of each list or map below ``levels``.

    Args:
        data: well-formed JSON; anything else may come out as something else that is not JSON.
        levels: how many lists and maps may contain each other.
    """
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKENS.finditer(data):
        first = data[token.start()]
        if first == ord('"'):
            continue
        if first in _OPENS:
            depth += 1
            if depth == levels + 1:
                kept += (data[begin : token.start()], b"null")
        else:
            depth -= 1
            if depth == levels:
                begin = token.end()
    return data if not kept else b"".join((*kept, data[begin:]))
