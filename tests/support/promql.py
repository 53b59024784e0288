"""What a PromQL expression asks for: metrics, the labels that it matches and groups by, the functions that it calls.

Enough of the grammar (https://prometheus.io/docs/prometheus/latest/querying/basics/) to hold the queries of the
alerts and the dashboard against a scrape; a query that it does not understand is an error, not a pass.
"""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<duration>\[[^\]]*\])
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<mark>=~|!~|!=|==|>=|<=|[-+*/(){},=<>])
    )""",
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool"})
FUNCTIONS = frozenset(
    {
        "avg", "count", "max", "min", "sum", "topk",
        "deriv", "histogram_quantile", "increase", "label_values", "rate", "time", "vector",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Matcher:
    """One label of a selector."""

    label: str
    operator: str
    value: str


@dataclass
class Query:
    """`selectors`: metric and its matchers, one for each occurrence; `grouped`: labels of by, on and the like."""

    selectors: list[tuple[str, tuple[Matcher, ...]]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def parse(text: str) -> Query:
    """Reads an expression.

    Raises:
        ValueError: a character, a function or a selector that is not understood.
    """
    tokens, query = _tokens(text), Query()
    at = 0
    while at < len(tokens):
        kind, word = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or word in _WORDS:
            continue
        if word in _GROUPING:
            end = tokens.index(("mark", ")"), at)
            query.grouped |= {value for name, value in tokens[at:end] if name == "name"}
            at = end + 1
        elif following == "(" or following in _GROUPING:
            if word not in FUNCTIONS:
                raise ValueError(f"{word}: no function that is known here, in {text}")
            if word == "label_values":  # Grafana's own: a metric and a label
                end = tokens.index(("mark", ")"), at)
                query.grouped.add(tokens[end - 1][1])
                tokens = tokens[: end - 1] + tokens[end:]
        else:
            matchers, at = _matchers(tokens, at, text)
            query.selectors.append((word, matchers))
    if not query.selectors and "time" not in text:
        raise ValueError(f"no metric in {text}")
    return query


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text[at : at + 20]!r} is not understood in {text}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    for opening, closing in ("()", "{}"):
        if [w for _, w in found].count(opening) != [w for _, w in found].count(closing):
            raise ValueError(f"unbalanced {opening} in {text}")
    return found


def _matchers(tokens: list[tuple[str, str]], at: int, text: str) -> tuple[tuple[Matcher, ...], int]:
    if at >= len(tokens) or tokens[at][1] != "{":
        return (), at
    end = tokens.index(("mark", "}"), at)
    inner = [token for token in tokens[at + 1 : end] if token[1] != ","]
    if len(inner) % 3:
        raise ValueError(f"a selector that is not understood, in {text}")
    found = []
    for place in range(0, len(inner), 3):
        (kind, label), (_, operator), (last, value) = inner[place : place + 3]
        if (kind, last) != ("name", "string") or operator not in {"=", "!=", "=~", "!~"}:
            raise ValueError(f"a selector that is not understood, in {text}")
        found.append(Matcher(label, operator, value[1:-1]))
    return tuple(found), end + 1
