"""The code blocks of the documentation: what each is, and how the tests judge it.

Usage: `python -m tools.doc_blocks` lists every block, with the reason where its commands are not run.

The words behind the fence's language say how:

| fence | judged by |
|---|---|
| `sh` | running it on the real control plane, with the page's other blocks, in order |
| `sh checked: REASON` | looking up each command and flag; REASON says why it is not run |
| `console` | the same for the lines that begin with `$`; the rest is what was printed |
| `yaml` | a server-side dry run of each object, with strict fields |
| `yaml applied` | applying it, for the blocks below it on the page |
| `yaml in KIND.FIELD` | the same dry run, of an object of that kind which has this text at that field |
| `yaml of REASON` | parsing it; REASON says what it is, where no server knows it |
| `json`, `cel`, `python` | parsing or compiling it |
| `text` | nothing: a drawing, or what something printed |
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
LANGUAGES = ("sh", "console", "yaml", "json", "cel", "python", "text")
SHELL_WORDS = frozenset({"do", "then", "else", "while", "until", "if", "!", "{", "exec", "time"})
SHELL_ENDS = frozenset({"done", "fi", "}", "for"})
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: path below the checkout.
        line: number of the fence's line.
        language: the fence's first word; empty for a block without a fence or a language.
        how: the second word without a colon, such as `checked`; empty if there is none.
        note: what follows: a reason, or a place such as `WorkflowEventBinding.spec`.
        text: what is inside.
    """

    page: str
    line: int
    language: str
    how: str
    note: str
    text: str

    @property
    def where(self) -> str:
        """`PAGE:LINE`, as editors open it."""
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether the tests do what it says."""
        return (self.language, self.how) in {("sh", ""), ("yaml", "applied")}


def pages() -> list[Path]:
    """Every page of the documentation."""
    outer = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "manifests" / "samples" / "README.md"]
    return outer + sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, those that are merely indented included (their language is empty)."""
    return blocks_of(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())


def blocks_of(text: str, page: str) -> list[Block]:
    """The code blocks of a Markdown text."""
    found: list[Block] = []
    for token in MarkdownIt().parse(text):
        if token.type not in ("fence", "code_block"):
            continue
        language, _, rest = token.info.strip().partition(" ")
        how, _, note = rest.strip().partition(" ")
        line = token.map[0] + 1 if token.map else 0
        found.append(Block(page, line, language, how.rstrip(":"), note.strip(), token.content))
    return found


def commands(block: Block) -> list[list[str]]:
    """The simple commands of a `sh` or `console` block, in order, without assignments and redirections."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    found: list[list[str]] = []
    for line in _logical_lines(text):
        found += _simple_commands(line)
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Lines, joined where a quotation mark is still open."""
    pending = ""
    for line in text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            shlex.split(pending, comments=True)
        except ValueError:
            continue
        yield pending
        pending = ""
    if pending:
        raise ValueError(f"a quotation mark is never closed: {pending.splitlines()[0]}")


def _simple_commands(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    redirected = False
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in lexer:
        for inner in SUBSTITUTION.findall(word):
            yield from _simple_commands(inner)
        if word and set(word) <= set("<>&") and set(word) & set("<>"):
            redirected = True
            if words and words[-1].isdigit():  # 2>&1
                words.pop()
        elif word and set(word) <= set("();|&"):
            yield from _command(words)
            words, redirected = [], False
        elif redirected:
            redirected = False
        else:
            words.append(word)
    yield from _command(words)


def _command(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in SHELL_WORDS or ASSIGNMENT.match(words[0])):
        words = words[1:]
    if words and words[0] not in SHELL_ENDS:
        yield words


def listing() -> Iterator[str]:
    """A line per block: where, what, and how it is judged."""
    for page in pages():
        for block in blocks(page):
            judged = " ".join(
                part for part in (block.how or ("run" if block.runs else ""), block.note) if part
            )
            yield f"{block.where}\t{block.language}\t{judged}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in listing())
