"""The documentation does what it says: its commands run, its objects are accepted, on a real control plane.

A page is a story. Its `sh` blocks are run by bash in the order in which a reader would, in a directory that looks
like the checkout, and its `yaml applied` blocks are applied between them. All pages share one cluster: the operator
at work, and the quick start's objects in the namespaces `argo` (the current one) and `team-a`. What a page
changes there, it leaves usable for the next.
tools/doc_blocks.py says how a block asks for something else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.doc_commands import objection
from tests.support.running_operator import Operator
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.doc_blocks import ROOT, Block, blocks, blocks_of, commands, pages

BLOCKS = [block for page in pages() for block in blocks(page)]
STORIES = [page for page in pages() if any(block.runs for block in blocks(page))]
NAMESPACES = ("argo", "team-a", "team-b", "eventsource-operator")
QUICKSTARTED = ("argo", "team-a")
QUICKSTART = "manifests/samples/quickstart"
BLOCK_SECONDS = 120.0
"""Far more than any block takes: those that wait have a deadline of their own, which tells more."""

SKELETONS: dict[str, dict[str, Any]] = {
    "EventSource": {
        "apiVersion": "eventsource-operator.dev/v1alpha1",
        "spec": {"watch": [{}]},
    },
    "WorkflowEventBinding": {
        "apiVersion": "argoproj.io/v1alpha1",
        "spec": {"event": {"selector": "true"}, "submit": {"workflowTemplateRef": {"name": "any"}}},
    },
    "ConfigMap": {"apiVersion": "v1"},
}
"""What a part of an object needs around it to be a whole one."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of the documentation's own, with the namespaces that it speaks of."""
    with ControlPlane() as plane:
        existing = plane.kubectl("get", "namespaces", "-o", "name")
        for namespace in NAMESPACES:
            if f"namespace/{namespace}\n" not in existing:
                plane.kubectl("create", "namespace", namespace)
            plane.allow_sending(namespace)
        plane.kubectl("config", "set-context", "--current", "--namespace=argo")
        yield plane


@pytest.fixture(scope="module")
def at_work(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator beside the stories, and the quick start's objects."""
    with Operator(cluster, cluster.argo_url, tmp_path_factory.mktemp("operator")) as running:
        for namespace in QUICKSTARTED:
            cluster.kubectl("-n", namespace, "apply", "-f", str(ROOT / QUICKSTART))
        for namespace in QUICKSTARTED:
            cluster.kubectl(
                "-n", namespace, "wait", "--for=condition=Ready", "evs/app-config", "--timeout=60s"
            )
        yield running


@pytest.fixture
def checkout(tmp_path: Path, cluster: ControlPlane) -> Path:
    """A directory that looks like the checkout, with the files that a reader is supposed to have."""
    for each in ROOT.iterdir():
        if not each.name.startswith("."):
            (tmp_path / each.name).symlink_to(each)
    (tmp_path / "ca.crt").write_bytes(cluster.ca.read_bytes())
    (tmp_path / "app-config.yaml").write_bytes((ROOT / QUICKSTART / "30-eventsource.yaml").read_bytes())
    return tmp_path


def environment(cluster: ControlPlane) -> dict[str, str]:
    """What `./dev up` exports, and the programs."""
    inherited = cluster.environment()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{cluster.binaries}"
    return inherited | {
        "PATH": f"{programs}{os.pathsep}{inherited['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARGO_SERVER": cluster.argo_url,
        "ARGO_TOKEN": cluster.argo_token,
    }


def story(page: Path, cluster: ControlPlane, checkout: Path) -> None:
    """Does what the page says, block by block."""
    for block in blocks(page):
        if block.language == "yaml" and block.runs:
            cluster.kubectl("apply", "-f", "-", stdin=block.text)
        elif block.runs:
            run(block, cluster, checkout)


def run(block: Block, cluster: ControlPlane, checkout: Path) -> None:
    """Runs a block as bash does, but ends at the first command that fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=checkout,
        env=environment(cluster),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BLOCK_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (
        f"{block.where}: ended with {done.returncode}:\n{block.text}\n{done.stdout}\n"
        "(a block that cannot be run here begins with ```sh checked: and the reason)"
    )


@pytest.mark.parametrize("page", STORIES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_does_what_it_says(
    page: Path, cluster: ControlPlane, at_work: Operator, checkout: Path
) -> None:
    assert at_work is not None
    story(page, cluster, checkout)


def test_kubectl_knows_each_command_and_flag(cluster: ControlPlane) -> None:
    found = [
        f"{block.where}: {' '.join(command)}: {text}"
        for block in BLOCKS
        if block.language in ("sh", "console")
        for command in commands(block)
        if (text := objection(command, cluster.binaries / "kubectl"))
    ]
    assert found == []


def whole(block: Block) -> list[dict[str, Any]]:
    """The objects of a block; a part of one is put into what it needs around it.

    Raises:
        KeyError: a part of a kind that has no skeleton here.
    """
    documents = [document for document in yaml.safe_load_all(block.text) if document]
    if block.how != "in":
        return documents
    kind, _, path = block.note.partition(".")
    made = {"kind": kind, "metadata": {"name": "part", "namespace": "argo"}, **SKELETONS[kind]}
    for part in reversed(path.split(".") if path else []):
        documents = [{part: document} for document in documents]
    return [_merged(made, document) for document in documents]


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def refusal(block: Block, cluster: ControlPlane, folder: Path) -> str:
    """Why the servers would not take the block's objects, empty if they would."""
    for document in whole(block):
        text = yaml.safe_dump(document)
        if document.get("kind") == "Kustomization":
            continue  # a file for `kubectl kustomize`, which a story runs
        try:
            cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
        except ControlPlaneError as error:
            return str(error)
        if document["kind"] in ("Workflow", "WorkflowTemplate"):  # whose CRDs have no schema
            (folder / "linted.yaml").write_text(text, encoding="utf-8")
            words: list[str | Path] = [
                cluster.binaries / "argo",
                "lint",
                "--offline",
                "--no-color",
                folder / "linted.yaml",
            ]
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, env=environment(cluster)
            )
            if done.returncode:
                return done.stdout + done.stderr
    return ""


OBJECTS = [block for block in BLOCKS if block.language == "yaml" and block.how != "of"]


def test_each_object_is_accepted_by_the_servers(cluster: ControlPlane, tmp_path: Path) -> None:
    found = [(block.where, text) for block in OBJECTS if (text := refusal(block, cluster, tmp_path))]
    assert found == []


BROKEN = [
    ("yaml in EventSource.spec", "watch: [{kinds: ConfigMap}]", "kinds"),
    ("yaml in EventSource.spec", "watch: [{namespaces: {all: true, names: [a]}}]", "one of"),
    ("yaml in WorkflowEventBinding.spec.submit", "metdata: {name: x}", "metdata"),
    ("yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {}", "date"),
    (
        "yaml",
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: a}\n"
            "spec: {entrypoint: x, templates: [{name: main, suspend: {}}]}"
        ),
        "template name 'x' undefined",
    ),
]


@pytest.mark.parametrize(("fence", "text", "expected"), BROKEN)
def test_a_mistake_in_an_object_is_found(
    cluster: ControlPlane, tmp_path: Path, fence: str, text: str, expected: str
) -> None:
    (block,) = blocks_of(f"```{fence}\n{text}\n```\n", "page.md")
    assert expected in refusal(block, cluster, tmp_path)


@pytest.mark.parametrize(
    "text", ["kubectl get evs --wacth", "kubectl anotate evs/a b=c", "kubectl wait --four=x evs/a"]
)
def test_a_mistake_in_a_command_is_found(cluster: ControlPlane, text: str) -> None:
    (command,) = commands(blocks_of(f"```sh\n{text}\n```\n", "page.md")[0])
    assert objection(command, cluster.binaries / "kubectl")


def test_a_command_that_fails_in_a_story_is_found(cluster: ControlPlane, checkout: Path) -> None:
    (block,) = blocks_of("```sh\nkubectl get evs/not-there\ntrue\n```\n", "page.md")
    with pytest.raises(AssertionError, match=r"page.md:1.*\n(.*\n)*.*not-there.* not found"):
        run(block, cluster, checkout)
