"""What an expression names and how it nests, read from its tokens before anything compiles it.

The CEL library tells an undeclared name only when it comes to it, and is recursive in native code: an
expression that nests too deeply would end the process. So names and depth are checked here first. The scan
also finds out which parts of the object an expression reads, for converting a whole object costs more than
most evaluations.

It follows the lexical rules of the CEL specification and its scoping of macros; what it lets pass although
it is not CEL, the library refuses.
The module is long because it is one state machine: split, its states would be passed around.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from eventsource_operator.core.cel_tokens import Token, pattern_weight, plain, tokens

Wanted: TypeAlias = "dict[str, Wanted | None]"
"""Keys of a map that are read, each with the keys below it; None stands for the whole value."""

MAX_BRACKETS: Final = 24
MAX_DEPTH: Final = 200
"""Levels of the syntax tree, from above; the library stands more than twice that in 512 KiB of stack."""
MAX_NESTED_MACROS: Final = 3

MACROS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_KEYWORDS: Final = frozenset({"true", "false", "null", "in"})
_TYPES: Final = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"})
_NAMESPACES: Final = frozenset({"math", "sets", "base64", "strings", "optional"})


class Problem(NamedTuple):
    """What is wrong with an expression, and at which offset; a ``fatal`` one must not be compiled."""

    message: str
    at: int
    fatal: bool


class Read(NamedTuple):
    """A read of a variable, which copies what is read.

    ``name`` is empty for the variable of a macro that is not the innermost one; ``path`` holds the fixed
    keys, ``dynamic`` says that an index follows, and ``level`` in how many macros it happens.
    """

    name: str
    path: tuple[str, ...]
    dynamic: bool
    level: int


class Pattern(NamedTuple):
    """A regular expression: its literal, the weight of compiling it (3 us each), in how many macros."""

    literal: str
    weight: int
    level: int
    at: int


@dataclass(slots=True)
class Scan:
    """What was found in an expression.

    ``roots`` holds the variables that are read, each with the parts that are needed. ``macros`` is the
    deepest nesting of macros, ``literal`` the most entries that one literal list or map has and ``made``
    those of all, ``sums`` the number of ``+`` and ``joined`` the most of them in what a macro runs over,
    ``size`` the number of tokens.
    """

    problem: Problem | None = None
    roots: dict[str, Wanted | None] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    builds: bool = False
    reads: list[Read] = field(default_factory=list)
    patterns: list[Pattern] = field(default_factory=list)
    macros: int = 0
    literal: int = 0
    made: int = 0
    sums: int = 0
    joined: int = 0
    size: int = 0


@dataclass(slots=True)
class _Frame:
    """An open bracket, with what counts towards the depth since the last comma in it."""

    opener: str = ""
    bound: str = ""
    operators: int = 0
    selects: int = 0
    chain: int = 0
    commas: int = 0
    sums: int = 0
    sums_closed: int = 0

    @property
    def depth(self) -> int:
        return 1 + self.operators + self.chain

    def operator(self) -> None:
        """An operator nests what is left of it."""
        self.operators += 1
        self.selects = 0

    def select(self) -> None:
        """A member, index or call nests what it is taken of."""
        self.selects += 1
        self.chain = max(self.chain, self.selects)

    def comma(self) -> None:
        """A new operand begins."""
        self.commas += 1
        self.operators = self.selects = self.chain = self.sums_closed = 0

    def close(self, inner: _Frame) -> None:
        """A bracket within this one is closed; what follows takes a member, an index or calls it."""
        self.select()
        self.sums += inner.sums
        self.sums_closed += inner.sums


class Scanner:
    """One pass over an expression."""

    def __init__(self, text: str, variables: frozenset[str], functions: frozenset[str]) -> None:
        self._tokens = list(tokens(text))
        self._outside = Token("end", "", len(text))
        self._variables = variables
        self._functions = functions
        self._frames = [_Frame()]
        self._scan = Scan(size=len(self._tokens))
        self._at = 0
        self._behind = 0

    def run(self) -> Scan:
        """Scans to the end, or to the first fatal problem; of other problems the first is kept."""
        for index, token in enumerate(self._tokens):
            self._at = index
            if token.kind == "mark":
                self._mark(token)
            elif token.kind == "name" and token.text not in _KEYWORDS:
                self._name(token)
            elif token.text == "in":
                self._frames[-1].operator()
            if sum(frame.depth for frame in self._frames) > MAX_DEPTH:
                self._refuse(f"the expression nests deeper than {MAX_DEPTH} levels; split it up", token)
            if self._scan.problem is not None and self._scan.problem.fatal:
                break
        return self._scan

    def _refuse(self, message: str, token: Token) -> None:
        self._scan.problem = Problem(message, token.at, fatal=True)

    def _problem(self, message: str, token: Token) -> None:
        if self._scan.problem is None:
            self._scan.problem = Problem(message, token.at, fatal=False)

    def _undeclared(self, message: str, token: Token) -> None:
        self._problem(f"undeclared {message}", token)

    def _peek(self, ahead: int) -> Token:
        at = self._at + ahead
        return self._tokens[at] if 0 <= at < len(self._tokens) else self._outside

    def _mark(self, token: Token) -> None:
        frame = self._frames[-1]
        if token.text in {"(", "[", "{"}:
            self._open(token)
        elif token.text in {")", "]", "}"}:
            if len(self._frames) > 1:
                inner = self._frames.pop()
                if inner.opener != "(":
                    self._scan.made += inner.commas + 1
                self._frames[-1].close(inner)
        elif token.text == ",":
            frame.comma()
            self._scan.literal = max(self._scan.literal, frame.commas + 1)
        elif token.text == ".":
            frame.select()
        else:
            frame.operator()
            frame.sums += token.text == "+"
            self._scan.sums += token.text == "+"

    def _open(self, token: Token) -> None:
        bound = ""
        if token.text == "(" and self._peek(-1).text in MACROS and self._peek(-2).text == ".":
            name, comma = self._peek(1), self._peek(2)
            bound = name.text if name.kind == "name" and comma.text == "," else ""
            self._scan.joined = max(self._scan.joined, self._frames[-1].sums_closed)
        self._frames.append(_Frame(token.text, bound))
        if len(self._frames) - 1 > MAX_BRACKETS:
            self._refuse(f"the expression has more than {MAX_BRACKETS} brackets within one another", token)
        nested = sum(1 for frame in self._frames if frame.bound)
        self._scan.macros = max(self._scan.macros, nested)
        self._scan.literal = max(self._scan.literal, 1)
        if nested > MAX_NESTED_MACROS:
            self._refuse(
                f"more than {MAX_NESTED_MACROS} macros (map, filter, exists, ...) within one another", token
            )

    def _name(self, token: Token) -> None:
        before, after = self._peek(-1), self._peek(1)
        dotted = before.text == "."
        member = dotted and self._operand(self._peek(-2))
        if dotted and not member:
            self._undeclared(f"reference to '.{token.text}'; write it without the dot", before)
        elif after.text == "(":
            self._call(token, member=member)
        elif not member:
            self._root(token)

    @staticmethod
    def _operand(token: Token) -> bool:
        """Whether a dot behind ``token`` selects a member of it, rather than marking an absolute name."""
        if token.kind == "name":
            return token.text != "in"
        return token.kind in {"string", "number"} or token.text in {")", "]", "}"}

    def _call(self, token: Token, *, member: bool) -> None:
        name = token.text
        first = self._peek(-2)
        if (
            member
            and first.text in _NAMESPACES
            and self._peek(-3).text != "."
            and not self._is_bound(first.text)
        ):
            name = f"{first.text}.{name}"
        elif name == "has":
            return
        elif member and name in MACROS:
            self._scan.builds = self._scan.builds or name in {"map", "filter"}
            return
        if name == "matches":
            self._pattern(token)
        if name not in self._functions:
            self._undeclared(f"function {name!r}", first if "." in name else token)
        self._scan.functions.add(name)

    def _is_bound(self, name: str) -> bool:
        return any(frame.bound == name for frame in self._frames)

    def _root(self, token: Token) -> None:
        name = token.text
        bound = [frame.bound for frame in self._frames if frame.bound]
        path, dynamic = self._path()
        if name in bound:
            if name != bound[-1]:
                self._scan.reads.append(Read("", tuple(path), dynamic, len(bound)))
        elif name in self._variables:
            self._scan.reads.append(Read(name, tuple(path), dynamic, len(bound)))
            self._want(name, self._asked(path))
        elif name in _NAMESPACES and self._peek(1).text == "." and self._peek(3).text == "(":
            return
        elif name not in _TYPES:
            known = ", ".join(sorted(self._variables))
            self._undeclared(f"reference to {name!r}; the variables are {known}", token)

    def _path(self) -> tuple[list[str], bool]:
        """The fixed keys that follow a variable, ``.name`` and ``["name"]``; and whether an index follows."""
        path: list[str] = []
        self._behind = 1
        while True:
            first, second, third = (self._peek(self._behind + more) for more in range(3))
            if first.text == "." and second.kind == "name" and third.text != "(":
                path.append(second.text)
                self._behind += 2
            elif first.text == "[" and third.text == "]" and plain(second):
                path.append(second.text[1:-1])
                self._behind += 3
            else:
                return path, first.text == "["

    def _asked(self, path: list[str]) -> list[str]:
        """In ``"name" in object.data`` only the one key of the map matters."""
        literal = self._peek(-2)
        asked = self._peek(-1).text == "in" and plain(literal) and self._peek(-3).text in _BEFORE_OPERAND
        if asked and self._peek(self._behind).text not in {".", "[", "("}:
            return [*path, literal.text[1:-1]]
        return path

    def _pattern(self, token: Token) -> None:
        """A regular expression is compiled at each call, so only a literal can be judged."""
        literal = self._peek(2)
        if literal.kind != "string" or self._peek(3).text != ")":
            self._problem("matches() needs a literal pattern, written in the expression", token)
        level = sum(1 for frame in self._frames if frame.bound)
        self._scan.patterns.append(Pattern(literal.text, pattern_weight(literal.text), level, token.at))

    def _want(self, name: str, path: list[str]) -> None:
        wanted: Wanted = self._scan.roots
        *above, last = [name, *path]
        for key in above:
            below = wanted.setdefault(key, {})
            if below is None:
                return
            wanted = below
        wanted[last] = None


_BEFORE_OPERAND: Final = frozenset({"", "(", "[", "{", ",", "&&", "||", "?", ":"})
"""After one of these, or at the beginning, a literal in front of ``in`` is its whole left side."""


def scan(text: str, variables: frozenset[str], functions: frozenset[str]) -> Scan:
    """Reads an expression; see `Scan`. Never fails: what is wrong is `Scan.problem`."""
    return Scanner(text, variables, functions).run()
