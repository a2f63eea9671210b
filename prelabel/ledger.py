"""The ledger: the facts on disk, append-only, in SQLite through SQLAlchemy Core.

Write-ahead logging lets another process read while a run writes. Every write is one transaction
that is on disk when the method returns.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from prelabel.errors import InputError
from prelabel.failures import FINAL
from prelabel.records import Annotation, Distribution, Item, Usage
from prelabel.tasks import dump_distribution, load_distribution

VERSION = 2

metadata = sa.MetaData()

ABOUT = sa.Table(
    "about",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
ITEMS = sa.Table(
    "items",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("meta", sa.Text, nullable=False),
)
ANNOTATORS = sa.Table(
    "annotators",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)
ANNOTATIONS = sa.Table(
    "annotations",
    metadata,
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("item_hash", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("guideline_hash", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("distribution", sa.Text),
    sa.Column("rationale", sa.Text, nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.Integer, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
    sa.Column("cached_tokens", sa.Integer, nullable=False),
    sa.Column("cost", sa.Float),
    sa.Column("unconfirmed", sa.Float, nullable=False),
    sa.Column("replayed", sa.Boolean, nullable=False),
    sa.Column("latency", sa.Float, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("extras", sa.Text),
    sa.Index("annotations_of_item", "annotator", "guideline_hash", "item_id"),
)

AT_ONCE = 1000
"""Rows that are read together: few enough to stay in the processor's cache, half the time."""

_STORED = [column.name for column in ANNOTATIONS.columns]
_USAGE = [field.name for field in fields(Usage)]
_OWN = [field.name for field in fields(Annotation) if field.name != "usage"]


class Ledger:
    """The facts of one project. Raises ``InputError`` where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
        sa.event.listen(self.engine, "connect", _settle)
        with self._explained("opened"):
            with self.engine.begin() as connection:
                metadata.create_all(connection)
                _upgrade(connection)
                for key, value in (("version", str(VERSION)), ("account", uuid.uuid4().hex)):
                    row = insert(ABOUT).values(key=key, value=value)
                    connection.execute(row.on_conflict_do_nothing())
            path.chmod(0o600)
        if (version := int(self._about("version"))) > VERSION:
            raise InputError(f"{path}: ledger version {version} is newer; upgrade prelabel")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what may go wrong with the file into one line."""
        try:
            yield
        except (sa.exc.DBAPIError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise InputError(f"{self.path}: the ledger cannot be {what} ({cause})") from None

    def _about(self, key: str) -> str:
        with self.engine.connect() as connection:
            return str(connection.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.key == key)))

    @property
    def account(self) -> str:
        """Return whose spending the cache counts for this ledger."""
        return self._about("account")

    def add_annotator(self, id: str, name: str, kind: str, settings: Mapping[str, Any]) -> None:  # noqa: A002
        """Record an annotator; one that is there already stays as it is."""
        values = {"id": id, "name": name, "kind": kind, "settings": json.dumps(settings)}
        with self.engine.begin() as connection:
            row = insert(ANNOTATORS).values(**values, created=time.time())
            connection.execute(row.on_conflict_do_nothing())

    def annotators(self) -> list[dict[str, Any]]:
        """Return all annotators ever recorded, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(ANNOTATORS).order_by(ANNOTATORS.c.created))
            return [
                dict(row) | {"settings": json.loads(row["settings"])} for row in rows.mappings()
            ]

    def add(self, batch: Sequence[Annotation], of: Iterable[Item] = ()) -> None:
        """Append annotations, and the items they are of, in one transaction.

        Raises ``InputError`` where the file cannot be written.
        """
        with self._explained("written"), self.engine.begin() as connection:
            if rows := [_item_row(item) for item in of]:
                connection.execute(insert(ITEMS).on_conflict_do_nothing(), rows)
            if batch:
                connection.execute(sa.insert(ANNOTATIONS), [row_of(a) for a in batch])

    def settled(
        self, annotator: str, guideline_hash: str, batch: Sequence[Item], *, carried: bool = True
    ) -> set[str]:
        """Return the ids of items in ``batch`` that need no call: labeled, abstained from, final.

        The annotator's last word on an item counts, if it was on the item's present text; with
        ``carried`` false not what was carried over from another guideline.
        """
        table = ANNOTATIONS.c
        # SQLite takes the other columns from the row that has the maximum
        query = (
            sa.select(
                table.item_id,
                table.item_hash,
                table.outcome,
                table.failure,
                _carried_from(),
                sa.func.max(table.n),
            )
            .where(
                table.annotator == annotator,
                table.guideline_hash == guideline_hash,
                table.item_id.in_([item.id for item in batch]),
            )
            .group_by(table.item_id)
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query)
            found = {
                (row[0], row[1])
                for row in rows
                if (row[2] != "failed" or row[3] in FINAL) and (carried or row[4] is None)
            }
        return {item.id for item in batch if (item.id, item.hash) in found}

    def current(self, annotator_ids: Sequence[str], guideline_hash: str) -> Iterator[Annotation]:
        """Yield each annotator's last word on each item under a guideline.

        Annotations of an item's earlier text count no more once the item was labeled again.
        """
        table = ANNOTATIONS.c
        last = (
            sa.select(sa.func.max(table.n))
            .where(table.annotator.in_(annotator_ids), table.guideline_hash == guideline_hash)
            .group_by(table.annotator, table.item_id)
        )
        for batch in self._read(sa.select(ANNOTATIONS).where(table.n.in_(last)).order_by(table.n)):
            yield from map(_annotation, batch)

    def carried(self, annotator_ids: Sequence[str], guideline_hash: str) -> dict[str, int]:
        """Return how many last words were carried over from each earlier guideline, by its hash."""
        table = ANNOTATIONS.c
        last = (
            sa.select(_carried_from().label("source"), sa.func.max(table.n))
            .where(table.annotator.in_(annotator_ids), table.guideline_hash == guideline_hash)
            .group_by(table.annotator, table.item_id)
            .subquery()
        )
        query = sa.select(last.c.source, sa.func.count()).group_by(last.c.source)
        with self.engine.connect() as connection:
            return {source: n for source, n in connection.execute(query) if source is not None}

    def columns(
        self, annotator_ids: Sequence[str], guideline_hash: str, names: Sequence[str]
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield all annotations under a guideline as they are stored, oldest first, in batches.

        ``names`` are columns; ``believes`` says whether there is a distribution.
        """
        table = ANNOTATIONS.c
        believes = table.distribution.is_not(None).label("believes")
        query = (
            sa.select(*(believes if name == "believes" else table[name] for name in names))
            .where(table.annotator.in_(annotator_ids), table.guideline_hash == guideline_hash)
            .order_by(table.n)
            # by the index, rows come in another order and must be sorted
            .with_hint(ANNOTATIONS, "NOT INDEXED", "sqlite")
        )
        yield from self._read(query)

    def annotations(self, numbers: Sequence[int]) -> list[Annotation]:
        """Return annotations by their numbers, in the same order."""
        found = {row[0]: _annotation(row) for row in self._numbered(numbers, ANNOTATIONS.c)}
        return [found[n] for n in numbers]

    def distributions(self, numbers: Sequence[int]) -> list[Distribution]:
        """Return the distributions of annotations by their numbers, in the same order."""
        rows = self._numbered(numbers, (ANNOTATIONS.c.n, ANNOTATIONS.c.distribution))
        found = {n: load_distribution(json.loads(text)) for n, text in rows}
        return [found[n] for n in numbers]

    def _numbered(
        self, numbers: Sequence[int], columns: Iterable[sa.Column[Any]]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield some columns of the annotations that have these numbers, in no order."""
        wanted, columns = sorted(numbers), list(columns)
        for start in range(0, len(wanted), AT_ONCE):
            part = sa.func.json_each(json.dumps(wanted[start : start + AT_ONCE]))
            among = sa.select(part.table_valued("value").c.value)
            for batch in self._read(sa.select(*columns).where(ANNOTATIONS.c.n.in_(among))):
                yield from batch

    def _read(self, query: sa.Select[Any]) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield rows in batches as the database has them: rows of SQLAlchemy take twice as long."""
        with self.engine.connect() as connection:
            cursor = connection.execute(query).cursor
            while cursor and (batch := cursor.fetchmany(AT_ONCE)):
                yield batch

    def spread(self, annotator_id: str, guideline_hash: str) -> dict[str, float]:
        """Return what past annotations used on average: tokens and seconds a call."""
        table = ANNOTATIONS.c
        query = sa.select(
            sa.func.sum(table.calls), sa.func.sum(table.output_tokens), sa.func.sum(table.latency)
        ).where(
            table.annotator == annotator_id,
            table.guideline_hash == guideline_hash,
            table.output_tokens > 0,
        )
        with self.engine.connect() as connection:
            calls, tokens, seconds = connection.execute(query).one()
        n = calls or 0
        return {
            "n": n,
            "output_tokens": (tokens or 0) / (n or 1),
            "seconds": (seconds or 0) / (n or 1),
        }

    def hashes(self) -> dict[str, int]:
        """Return how many annotations there are under each guideline hash."""
        table = ANNOTATIONS.c
        # grouped in the order of the index, which is several times faster than by hash alone
        query = sa.select(table.guideline_hash, sa.func.count()).group_by(
            table.annotator, table.guideline_hash
        )
        found: Counter[str] = Counter()
        with self.engine.connect() as connection:
            for key, count in connection.execute(query):
                found[key] += count
        return dict(found)

    def close(self) -> None:
        """Close the ledger."""
        self.engine.dispose()


def _carried_from() -> Any:
    """Select the guideline that an annotation was carried over from; null for one made anew."""
    return sa.func.json_extract(ANNOTATIONS.c.extras, "$.carried.guideline")


def _upgrade(connection: sa.Connection) -> None:
    """Bring the file of an earlier version up to date; what it holds stays as it is."""
    version = connection.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.key == "version"))
    if version == "1":
        connection.execute(sa.text("ALTER TABLE annotations ADD COLUMN extras TEXT"))
        connection.execute(sa.update(ABOUT).where(ABOUT.c.key == "version").values(value="2"))


def _settle(connection: Any, _record: Any) -> None:
    """Set up a new connection: readers beside the writer, and durable commits."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=60000")


def _item_row(item: Item) -> dict[str, str]:
    return {
        "id": item.id,
        "hash": item.hash,
        "fields": json.dumps(dict(item.fields)),  # ASCII, since SQLite refuses half characters
        "meta": json.dumps(dict(item.meta), default=str),
    }


def row_of(a: Annotation) -> dict[str, Any]:
    """Return an annotation as it is stored."""
    row = {name: getattr(a, name) for name in _OWN}
    row.update((name, getattr(a.usage, name)) for name in _USAGE)
    row["label"] = None if a.outcome != "labeled" else json.dumps(a.label)
    for name in ("detail", "rationale"):
        row[name] = row[name].encode(errors="replace").decode()
    row["distribution"] = a.distribution and json.dumps(dump_distribution(a.distribution))
    row["shown"] = json.dumps(a.shown)
    row["extras"] = json.dumps(a.extras) if a.extras else None
    row["created"] = a.created or time.time()
    return row


def load_shown(text: str) -> tuple[str, ...]:
    """Return the ids of the items that a prompt showed, from how they are stored."""
    return tuple(json.loads(text)) if text != "[]" else ()


def _annotation(row: Sequence[Any]) -> Annotation:
    """Make an annotation of a row as it is stored."""
    stored = dict(zip(_STORED, row, strict=True))
    usage = Usage(*(stored.pop(name) for name in _USAGE))
    for name in ("label", "distribution"):
        stored[name] = None if stored[name] is None else json.loads(stored[name])
    if stored["distribution"] is not None:
        stored["distribution"] = load_distribution(stored["distribution"])
    stored["replayed"] = bool(stored["replayed"])
    stored["shown"] = load_shown(stored["shown"])
    stored["extras"] = json.loads(stored["extras"]) if stored["extras"] else {}
    del stored["n"]
    return Annotation(**stored, usage=usage)
