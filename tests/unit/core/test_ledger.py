"""The ledger's stored form: what was written is read back, and what was damaged is never taken for a ledger."""

import base64
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core import ledger as module
from eventsource_operator.core.ledger import (
    Entry,
    Ledger,
    LedgerError,
    digest_of,
    from_row,
    pack,
    restore,
    snapshot,
    to_row,
    unpack,
)

KEYS = st.sampled_from(["/cluster", "ns/a", "ns/b", "ns/c"]) | st.text(max_size=8)
DIGESTS = st.none() | st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=3).map(tuple)
ENTRIES = st.builds(Entry, st.text(max_size=6), DIGESTS, st.booleans(), st.integers(0, 2**63 - 1))
LEDGERS = st.dictionaries(KEYS, ENTRIES, max_size=6)
DELTAS = st.lists(st.tuples(KEYS, st.none() | ENTRIES), max_size=6)


@given(KEYS, st.none() | ENTRIES)
def test_a_row_says_all_of_an_entry(key: str, entry: Entry | None) -> None:
    row = orjson.loads(orjson.dumps(to_row(key, entry)))

    assert from_row(row) == (key, entry)


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        (None, ["ns/a"]),
        (Entry("u"), ["ns/a", "u"]),
        (Entry("u", ()), ["ns/a", "u", []]),
        (Entry("u", (("data", "d"),)), ["ns/a", "u", [["data", "d"]]]),
        (Entry("u", None, out=True), ["ns/a", "u", None, 1]),
        (Entry("u", (("data", "d"),), out=True), ["ns/a", "u", [["data", "d"]], 1]),
        (Entry("u", told=7), ["ns/a", "u", None, 0, 7]),
        (Entry("u", (("data", "d"),), out=True, told=7), ["ns/a", "u", [["data", "d"]], 1, 7]),
    ],
)
def test_a_row_is_the_shortest_that_says_all(entry: Entry | None, row: list[Any]) -> None:
    assert to_row("ns/a", entry) == row


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        "ns/a",
        [],
        [1],
        ["k", 1],
        ["k", None],
        ["k", "u", None],
        ["k", "u", "d"],
        ["k", "u", None, 2],
        ["k", "u", [], 0],
        ["k", "u", [], 2, 1],
        ["k", "u", [], 1, 0],
        ["k", "u", [], 0, "1"],
        ["k", "u", [], 1, 1, 1],
        ["k", "u", {}, 1],
    ],
)
def test_a_row_of_another_shape_is_refused(row: Any) -> None:
    with pytest.raises(LedgerError, match="row has an unknown shape"):
        from_row(row)


@pytest.mark.parametrize("digest", [None, "text", [], ["path"], ["path", 1], ["path", "d", "e"]])
@pytest.mark.parametrize("tail", [[], [1]])
def test_a_digest_of_another_shape_is_refused(digest: Any, tail: list[int]) -> None:
    with pytest.raises(LedgerError, match="a digest in a ledger row"):
        from_row(["k", "u", [digest], *tail])


@given(LEDGERS)
def test_a_ledger_survives_its_snapshot(ledger: Ledger) -> None:
    taken = snapshot(ledger)

    assert restore(taken.chunks, taken.digest) == ledger
    assert taken.objects == len(ledger)
    assert snapshot(dict(reversed(ledger.items()))) == taken, "equal ledgers have equal snapshots"


@given(LEDGERS, DELTAS)
def test_a_delta_is_played_on_top_of_the_snapshot(ledger: Ledger, delta: list[Any]) -> None:
    taken = snapshot(ledger)
    expected = dict(ledger)
    for key, entry in delta:
        if entry is None:
            expected.pop(key, None)
        else:
            expected[key] = entry

    assert restore(taken.chunks, taken.digest, pack(to_row(k, e) for k, e in delta)) == expected


def test_a_delta_alone_is_a_ledger() -> None:
    assert restore((), digest_of(()), pack([["ns/a", "u"]])) == {"ns/a": Entry("u")}
    assert restore((), digest_of(())) == {}


def test_a_row_of_a_snapshot_that_knows_nothing_adds_nothing() -> None:
    chunk = pack([["ns/a"], ["ns/b", "u"]])

    assert restore([chunk], digest_of([chunk])) == {"ns/b": Entry("u")}


def test_a_large_ledger_is_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_CHARS", 100)
    ledger = {f"ns/{i}": Entry(f"{i * 7919:032x}", (("data", f"{i * 104729:08x}"),)) for i in range(200)}
    taken = snapshot(ledger)

    assert len(taken.chunks) > 2
    assert all(len(chunk) == 100 for chunk in taken.chunks[:-1])
    assert 0 < len(taken.chunks[-1]) <= 100
    assert restore(iter(taken.chunks), taken.digest) == ledger


@given(LEDGERS.filter(bool), st.data())
def test_a_damaged_chunk_is_noticed(ledger: Ledger, data: st.DataObject) -> None:
    taken = snapshot(ledger)
    chunk = taken.chunks[0]
    at = data.draw(st.integers(0, len(chunk) - 1))
    damaged = data.draw(
        st.sampled_from([chunk[:at], chunk[:at] + chunk[at + 1 :], chunk + "AAAA", "é" + chunk[1:]])
        | st.characters(codec="utf-8").map(lambda c: chunk[:at] + c + chunk[at + 1 :])
    )
    if damaged != chunk:
        with pytest.raises(LedgerError, match="do not match their digest"):
            restore([damaged], taken.digest)


@pytest.mark.parametrize(
    "chunks", [[], ["a"], ["b", "a"], ["a", "b", "c"]], ids=["none", "lost", "swapped", "added"]
)
def test_other_chunks_than_the_head_names_are_noticed(chunks: list[str]) -> None:
    with pytest.raises(LedgerError, match="do not match"):
        restore(chunks, digest_of(["a", "b"]))


def _packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("!!!!", "cannot be unpacked"),
        ("AAA", "cannot be unpacked"),
        ("é", "cannot be unpacked"),
        ("AAAA", "cannot be unpacked"),
        (_packed(b"[["), "cannot be unpacked"),
        (_packed(b"\xff"), "cannot be unpacked"),
        (_packed(b'{"a": 1}'), "not a list"),
        (base64.b64encode(zlib.compress(b"[]")[:-2]).decode(), "cut short"),
        (base64.b64encode(zlib.compress(b"[]") + b"more").decode(), "more than"),
        ("", "cut short"),
    ],
    ids=["alphabet", "length", "ascii", "zlib", "json", "utf8", "object", "cut", "trailing", "empty"],
)
def test_what_cannot_be_unpacked_is_a_ledger_error(data: str, says: str) -> None:
    with pytest.raises(LedgerError, match=says):
        unpack(data)
    if data:
        with pytest.raises(LedgerError, match=says):
            restore((), digest_of(()), data)


@given(st.text(min_size=1, max_size=40))
def test_no_delta_breaks_the_reader_otherwise_than_with_a_ledger_error(delta: str) -> None:
    with pytest.raises(LedgerError):
        restore((), digest_of(()), delta)


def test_a_ledger_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack([["k" * 1000, "u"]])
    assert unpack(data) == [["k" * 1000, "u"]]

    monkeypatch.setattr(module, "MAX_UNPACKED", 500)
    with pytest.raises(LedgerError, match="too large"):
        unpack(data)
