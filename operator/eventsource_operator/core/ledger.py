"""What a source knows of the objects it selects: one small record per object.

The ledger is what makes a deletion visible after a gap (Kubernetes never tells of it in a list) and what tells
whether a watched field changed while nobody looked. It holds no content: a uid and digests.

Shapes: a *key* is ``namespace/name`` (``/name`` for a cluster-scoped object); a *row* is the JSON form
``[key, uid]``, ``[key, uid, [[path, digest], …]]`` or ``[key, uid, digests, 1]`` for an object that left the
selection, ``[key, uid, digests, 0 or 1, version]`` for one that was told of in the midst of a list, and ``[key]`` alone
for "no longer known" (used in the delta of a checkpoint).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

CHUNK_CHARS = 500_000
"""Characters of base64 in one chunk: below 512 KiB (decision 0003), and etcd's 1.5 MiB."""

MAX_UNPACKED = 256 * 1024 * 1024
"""Bytes that one ledger may unpack to; more is a corrupt or hostile checkpoint."""

Digests = tuple[tuple[str, str], ...]


class LedgerError(ValueError):
    """A stored ledger cannot be read; the message says why."""


class Entry(NamedTuple):
    """One known object.

    Attributes:
        uid: its own.
        digests: of the watched fields; None when every change counts.
        out: whether it left the selection.
        told: the version up to which it was told of while a list was under way. A position does not say that: it
            stands still until the list's end, and a list tells its objects in no order of versions. Nothing up to
            this version is told again. 0: the position says all.
    """

    uid: str
    digests: Digests | None = None
    out: bool = False
    told: int = 0


Ledger = dict[str, Entry]


def to_row(key: str, entry: Entry | None) -> list[Any]:
    """The JSON row of one entry; the shortest form that says all."""
    if entry is None:
        return [key]
    if entry.out or entry.told:
        digests = [list(d) for d in entry.digests] if entry.digests is not None else None
        row = [key, entry.uid, digests, int(entry.out)]
        return [*row, entry.told] if entry.told else row
    if entry.digests is not None:
        return [key, entry.uid, [list(d) for d in entry.digests]]
    return [key, entry.uid]


def from_row(row: Any) -> tuple[str, Entry | None]:
    """The inverse of `to_row`.

    Raises:
        LedgerError: the row has not the shape that this module writes.
    """
    match row:
        case [str(key)]:
            return key, None
        case [str(key), str(uid)]:
            return key, Entry(uid)
        case [str(key), str(uid), list(digests)]:
            return key, Entry(uid, _digests(digests))
        case [str(key), str(uid), None | list() as digests, 1]:
            return key, Entry(uid, _digests(digests), out=True)
        case [str(key), str(uid), None | list() as digests, 0 | 1 as out, int(told)] if told > 0:
            return key, Entry(uid, _digests(digests), bool(out), told)
        case _:
            raise LedgerError("a ledger row has an unknown shape")


def _digests(rows: list[Any] | None) -> Digests | None:
    if rows is None:
        return None
    pairs: list[tuple[str, str]] = []
    for row in rows:
        match row:
            case [str(path), str(digest)]:
                pairs.append((path, digest))
            case _:
                raise LedgerError("a digest in a ledger row has an unknown shape")
    return tuple(pairs)


def pack(rows: Iterable[list[Any]]) -> str:
    """Rows as base64 of compressed JSON."""
    return base64.b64encode(zlib.compress(orjson.dumps(list(rows)), 6)).decode()


def unpack(data: str) -> list[Any]:
    """The inverse of `pack`.

    Raises:
        LedgerError: not base64, not compressed JSON, followed by something, or larger than `MAX_UNPACKED`.
    """
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(base64.b64decode(data.encode(), validate=True), MAX_UNPACKED)
    except (binascii.Error, zlib.error) as error:
        raise LedgerError(f"the stored ledger cannot be unpacked: {error}") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise LedgerError("the stored ledger is cut short or too large")
    if inflater.unused_data:
        raise LedgerError("the stored ledger is more than one packed list")
    try:
        rows = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise LedgerError(f"the stored ledger cannot be unpacked: {error}") from error
    if not isinstance(rows, list):
        raise LedgerError("the stored ledger is not a list of rows")
    return rows


class Snapshot(NamedTuple):
    """A packed ledger: chunks of at most `CHUNK_CHARS` characters, their digest and the number of objects."""

    chunks: tuple[str, ...]
    digest: str
    objects: int


def snapshot(entries: Mapping[str, Entry]) -> Snapshot:
    """Packs a whole ledger; costs about 2 µs an object, so large ones belong into a thread."""
    data = pack(to_row(key, entries[key]) for key in sorted(entries))
    chunks = tuple(data[i : i + CHUNK_CHARS] for i in range(0, len(data), CHUNK_CHARS))
    return Snapshot(chunks, digest_of(chunks), len(entries))


def digest_of(chunks: Iterable[str]) -> str:
    """What a checkpoint's head records of its chunks, so that a torn write is noticed: 32 hex characters."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk.encode())
    return hasher.hexdigest()[:32]


def restore(chunks: Iterable[str], digest: str, delta: str = "") -> Ledger:
    """A ledger from its chunks and the delta that the head carries.

    Raises:
        LedgerError: the chunks are not the ones that the head names, or cannot be read.
    """
    parts = tuple(chunks)
    if digest_of(parts) != digest:
        raise LedgerError("the ledger's chunks do not match their digest")
    ledger: Ledger = {}
    for row in unpack("".join(parts)) if parts else ():
        key, entry = from_row(row)
        if entry is not None:
            ledger[key] = entry
    for row in unpack(delta) if delta else ():
        key, entry = from_row(row)
        if entry is None:
            ledger.pop(key, None)
        else:
            ledger[key] = entry
    return ledger
