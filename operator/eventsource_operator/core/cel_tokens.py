"""The words of a CEL expression, by the lexical rules of the CEL specification."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|\"[^\"\r\n]*\"|'[^'\r\n]*')
      |[bB]?(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3})
      |[bB]?(?:\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\d+|\.\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A word of an expression: its kind (string, number, name or mark), text and place."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """The words of an expression, without white space and comments."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind != "space":
            yield Token(kind, match.group(), match.start())


def plain(token: Token) -> bool:
    """Whether a token is a string literal whose text is its value."""
    text = token.text
    return (
        token.kind == "string" and text[0] in "\"'" and not text.startswith(('""', "''")) and "\\" not in text
    )


_REPEATS: Final = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")


def pattern_weight(pattern: str) -> int:
    """What compiling a pattern costs: repetitions multiply it, and a backslash may mean a large class."""
    weight = len(pattern) * (20 if "\\" in pattern else 1)
    for least, most in _REPEATS.findall(pattern):
        weight *= max(1, int(most or least))
    return weight


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
