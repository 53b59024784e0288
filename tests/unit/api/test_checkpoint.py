"""Checkpoints: there and back; what cannot be understood is an error, never an empty checkpoint."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from eventsource_operator.api.checkpoint import (
    MAX_DATA,
    MAX_DONE,
    CheckpointError,
    Chunk,
    FailedEvent,
    Head,
    LedgerRef,
    ObjectRef,
    SourceRef,
    TargetProgress,
    checkpoint_to_dict,
    parse_checkpoint,
)
from eventsource_operator.api.spec import ChangeType

NOW = "2026-01-02T03:04:05.123Z"
SOURCE = SourceRef("app-config", "uid")
TARGET = TargetProgress(
    "0", "v1/configmaps", "a", "42", NOW, "s", ("ab",), "QUJD", LedgerRef(1, "40", 2, 1, 9, "ab")
)
FAILURE = FailedEvent(
    "ab", ChangeType.DELETED, ObjectRef("v1", "ConfigMap", "a", "b", "u"), "41", NOW, "Rejected", "no"
)
HEAD = Head(SOURCE, (TARGET, replace(TARGET, key="1", ledger=None, done=(), delta="")), (FAILURE,))
CHUNK = Chunk(SOURCE, "0", 2, 0, "QUJD")


@pytest.mark.parametrize("value", [Head(SOURCE), HEAD, CHUNK], ids=["empty", "head", "chunk"])
def test_there_and_back(value: Head | Chunk) -> None:
    assert parse_checkpoint(checkpoint_to_dict(value) | {"metadata": {"name": "x"}}) == value


def changed(value: Head | Chunk, path: list[Any], new: Any) -> dict[str, Any]:
    obj = copy.deepcopy(checkpoint_to_dict(value))
    place: Any = obj
    for step in path[:-1]:
        place = place[step]
    if new is None:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return obj


@pytest.mark.parametrize(
    ("value", "path", "new", "field"),
    [
        (HEAD, ["apiVersion"], "eventsource-operator.dev/v2", "apiVersion"),
        (HEAD, ["kind"], "EventSource", "kind"),
        (HEAD, ["source"], None, "source"),
        (HEAD, ["source", "uid"], "", "source.uid"),
        (HEAD, ["role"], None, "role"),
        (HEAD, ["role"], "Tail", "role"),
        (HEAD, ["targets", 0, "position"], None, "targets[0].position"),
        (HEAD, ["targets", 0, "position"], 42, "targets[0].position"),
        (HEAD, ["targets", 0, "position"], "042", "targets[0].position"),
        (HEAD, ["targets", 0, "time"], "yesterday", "targets[0].time"),
        (HEAD, ["targets", 0, "ledger", "digest"], None, "targets[0].ledger.digest"),
        (HEAD, ["targets", 0, "ledger", "chunks"], -1, "targets[0].ledger.chunks"),
        (HEAD, ["targets", 0, "delta"], "###", "targets[0].delta"),
        (HEAD, ["targets", 1, "key"], "0", "targets"),
        (HEAD, ["targets", 0, "news"], 1, "targets[0].news"),
        (HEAD, ["failures", 0, "type"], None, "failures[0].type"),
        (HEAD, ["failures", 0, "resource", "name"], None, "failures[0].resource.name"),
        (HEAD, ["data"], "QUJD", "data"),
        (CHUNK, ["data"], None, "data"),
        (CHUNK, ["index"], None, "index"),
        (CHUNK, ["generation"], "2", "generation"),
        (CHUNK, ["targets"], [], "targets"),
    ],
)
def test_what_cannot_be_understood_is_an_error(
    value: Head | Chunk, path: list[Any], new: Any, field: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_checkpoint(changed(value, path, new))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (replace(CHUNK, data="A" * (MAX_DATA + 1)), "data"),
        (Head(SOURCE, (replace(TARGET, done=("ab",) * (MAX_DONE + 1)),)), "targets[0].done"),
        (Head(SOURCE, (), (FAILURE,) * 101), "failures"),
        (Head(SOURCE, (TARGET, TARGET)), "targets"),
        (Head(SOURCE, (), (replace(FAILURE, message="m" * 1025),)), "failures[0].message"),
    ],
)
def test_nothing_is_cut_silently(value: Head | Chunk, field: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoint_to_dict(value)
    assert caught.value.field == field
