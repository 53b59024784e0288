"""The documentation's blocks, as far as no server is needed: what they are, and whether what they name exists."""

from __future__ import annotations

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

import eventsource_operator.argo
from eventsource_operator.core.cel import compile_expression
from tests.support.doc_commands import objection
from tools.doc_blocks import LANGUAGES, ROOT, Block, blocks, blocks_of, commands, listing, pages

BLOCKS = [block for page in pages() for block in blocks(page)]
NEEDS_A_REASON = {("sh", "checked"), ("yaml", "of"), ("yaml", "in")}
WAYS = NEEDS_A_REASON | {(language, "") for language in LANGUAGES} | {("yaml", "applied")}


def ids(found: list[Block]) -> list[str]:
    return [block.where for block in found]


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=ids(chosen))


@pytest.mark.parametrize("block", BLOCKS, ids=ids(BLOCKS))
def test_each_block_says_how_it_is_judged(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block.where}: the fence names none of {', '.join(LANGUAGES)}"
    assert (block.language, block.how) in WAYS, (
        f"{block.where}: {block.how} is no way (see tools/doc_blocks.py)"
    )
    if (block.language, block.how) in NEEDS_A_REASON:
        assert block.note, f"{block.where}: {block.how} needs a reason or a place behind it"
    else:
        assert not block.note, f"{block.where}: {block.note}?"


@of("sh", "console")
def test_each_command_exists_with_its_flags(block: Block) -> None:
    found = commands(block)
    assert found or block.language == "console", f"{block.where}: no command in it"
    assert [text for command in found if (text := objection(command, kubectl=None))] == [], block.where


@of("json")
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@of("yaml")
def test_yaml_is_yaml(block: Block) -> None:
    assert [document for document in yaml.safe_load_all(block.text) if document], block.where


@of("cel")
def test_cel_compiles(block: Block) -> None:
    compile_expression(block.text, block.where)


@of("python")
def test_python_names_what_the_client_has(block: Block) -> None:
    tree = compile(
        block.text,
        block.where,
        "exec",
        flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    clients = (eventsource_operator.argo.ArgoClient, eventsource_operator.argo.AsyncArgoClient)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "eventsource_operator.argo":
            assert [
                alias.name for alias in node.names if not hasattr(eventsource_operator.argo, alias.name)
            ] == []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "argo":
            assert all(hasattr(client, node.attr) for client in clients), f"{block.where}: argo.{node.attr}"


def links(page: Path) -> list[str]:
    """Where the page's links and images lead."""
    inline = [token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.children]
    parts = [part for token in inline for part in token.children or ()]
    return [str(part.attrs.get("href") or part.attrs.get("src")) for part in parts if part.attrs]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    titles = [inline.content for token, inline in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue  # another site
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def test_each_page_can_be_reached_from_the_front_page() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            there = [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
            waiting += [path for path in there if path.suffix == ".md" and path.is_file()]
            waiting += [
                path for folder in there if folder.name == "decisions" for path in folder.glob("*.md")
            ]
    assert [page.name for page in pages() if page not in seen] == []


def block(text: str, language: str = "sh") -> Block:
    return blocks_of(f"```{language}\n{text}\n```\n", "page.md")[0]


def test_a_fence_says_language_way_and_reason() -> None:
    text = "# A\n\n```sh checked: it needs a registry\ndocker build .\n```\n\n    indented\n"
    assert blocks_of(text, "p.md") == [
        Block("p.md", 3, "sh", "checked", "it needs a registry", "docker build .\n"),
        Block("p.md", 7, "", "", "", "indented\n"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kubectl get evs   # all of them", [["kubectl", "get", "evs"]]),
        ("A=1 B=2 kubectl get evs > file 2>&1", [["kubectl", "get", "evs"]]),
        ("a x | b && c; d &", [["a", "x"], ["b"], ["c"], ["d"]]),
        ("(cd x && a --set k=v.w)", [["cd", "x"], ["a", "--set", "k=v.w"]]),
        ("a \\\n  --b", [["a", "--b"]]),
        ('eval "$(./dev up)"', [["./dev", "up"], ["eval", "$(./dev up)"]]),
        ("a -p '{\"x\":\n {}}'", [["a", "-p", '{"x":\n {}}']]),
        ("until a; do b; done", [["a"], ["b"]]),
        ("# only words", []),
    ],
)
def test_commands_are_found(text: str, expected: list[list[str]]) -> None:
    assert commands(block(text)) == expected


def test_only_the_prompts_of_a_console_are_commands() -> None:
    assert commands(block("$ kubectl get evs\nNAME\n# words", "console")) == [["kubectl", "get", "evs"]]


def test_a_quotation_mark_that_stays_open_is_told() -> None:
    with pytest.raises(ValueError, match="never closed: a 'b"):
        commands(block("a 'b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eventsource-operator check --offlin app.yaml", "--offlin"),
        ("eventsource-operator chek app.yaml", "chek"),
        ("eventsource-operator check app.yaml -o xml", "xml"),
        ("kubectl evs status --wach", "--wach"),
        ("./dev tests", "tests"),
        ("./dev test units", "units"),
        ("./dev demo --twice", "--twice"),
        ("helm install x chart --nope", "--nope"),
        ("helm install x chart --set imge.tag=1", "imge"),
        ("frobnicate", "frobnicate"),
    ],
)
def test_what_does_not_exist_is_told(text: str, expected: str) -> None:
    (command,) = commands(block(text))
    assert expected in objection(command, kubectl=None)


@pytest.mark.parametrize(
    "text",
    [
        "eventsource-operator check not-there.yaml --offline",
        "eventsource-operator --help",
        "kubectl evs status -A -w",
        "./dev test unit -k selectors tests/unit",
        "./dev bench B1 B6",
        "helm install x chart --set config.caConfigMap=a/b --set rbac.sendEverywhere=true",
    ],
)
def test_what_exists_is_no_fault(text: str) -> None:
    (command,) = commands(block(text))
    assert objection(command, kubectl=None) == ""


def test_the_listing_has_a_line_for_each_block() -> None:
    assert len(list(listing())) == len(BLOCKS)
