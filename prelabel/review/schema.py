"""The tables of the review and how its database is opened: SQLite, or PostgreSQL by URL.

``adjudications``, ``rulings``, ``reviewers`` and ``lifts`` are facts. ``queue``, ``leases``,
``checks`` and ``flags`` are an index of them and of gold, so that the next item is found at once;
they are made anew whenever the queue is built. Columns that came later have a default, so that an
older database is brought up to date when it is opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from prelabel.errors import InputError, MissingExtraError

VERSION = "2"

LOCK = 5_077_413
"""The key of PostgreSQL's advisory lock under which all writing is done."""

metadata = sa.MetaData()

ABOUT = sa.Table(
    "review_about",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
REVIEWERS = sa.Table(
    "reviewers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),  # reviewer or senior
    sa.Column("token_hash", sa.Text, unique=True),
    sa.Column("created", sa.Double, nullable=False),
)
SESSIONS = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)
ADJUDICATIONS = sa.Table(
    "adjudications",
    metadata,
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("request", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),  # decided, skipped or withdrawn
    sa.Column("supersedes", sa.Integer, index=True),  # what a withdrawal takes back
    sa.Column("item_id", sa.Text, nullable=False, index=True),
    sa.Column("item_hash", sa.Text, nullable=False),
    sa.Column("guideline_hash", sa.Text, nullable=False),
    sa.Column("rule_hash", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),  # JSON; null where no label fits
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),  # blind or suggested
    sa.Column("trial", sa.Text, nullable=False, server_default=""),  # drawn, gold or planted
    sa.Column("suggestion", sa.Text, nullable=False, server_default="null"),  # JSON
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Index("adjudications_of_author", "author", "n"),
)
RULINGS = sa.Table(
    "rulings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("adjudication", sa.Integer, nullable=False, unique=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),  # JSON, as SQLite refuses half characters
)
LIFTS = sa.Table(
    "lifts",
    metadata,
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("reviewer", sa.Text, nullable=False, index=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("after", sa.Integer, nullable=False),  # the last adjudication until then
    sa.Column("created", sa.Double, nullable=False),
)
QUEUE = sa.Table(
    "queue",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # what a URL calls the item
    sa.Column("item_id", sa.Text, nullable=False, unique=True),
    sa.Column("item_hash", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),  # open, conflict, done or check
    sa.Column("payload", sa.Text, nullable=False),
    sa.Index("queue_by_stage", "stage", "position"),
)
LEASES = sa.Table(
    "leases",
    metadata,
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("reviewer", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # held, lost, decided or skipped
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("trial", sa.Text, nullable=False, server_default=""),
    sa.Column("suggestion", sa.Text, nullable=False, server_default="null"),
    sa.Column("shown", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Index("leases_of_reviewer", "reviewer", "state"),
)
CHECKS = sa.Table(
    "checks",
    metadata,
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("item_hash", sa.Text, nullable=False),
    sa.Column("gold", sa.Text, nullable=False),  # JSON
    sa.Column("wrong", sa.Text, nullable=False),  # JSON; null where none is planted
)
FLAGS = sa.Table("flags", metadata, sa.Column("reviewer", sa.Text, primary_key=True))


class Database:
    """A connection pool whose writers take turns, each from before its first read.

    Raises ``InputError`` where the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = _understood(url)
        self.place = self.url.render_as_string(hide_password=True)
        try:
            self.engine = sa.create_engine(self.url, **_settings(self.url))
        except ModuleNotFoundError:
            raise MissingExtraError(
                'PostgreSQL needs its driver; pip install "prelabel[postgres]"'
            ) from None
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _settle)
            sa.event.listen(self.engine, "begin", _begin)
        with self.explained("opened"), self.writing() as connection:
            version = _version(connection)
            if int(version or VERSION) <= int(VERSION):
                metadata.create_all(connection)
                if version != VERSION:
                    _bring_up_to_date(connection)
        if int(version or VERSION) > int(VERSION):
            self.close()
            raise InputError(f"{self.place}: review version {version} is newer; upgrade prelabel")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that no other writer overlaps; it is on disk when this returns."""
        connection = self.engine.connect().execution_options(writes=True)
        with connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """Turn what may go wrong with the database into one line."""
        try:
            yield
        except (sa.exc.DBAPIError, OSError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            raise InputError(f"{self.place}: the review cannot be {what} ({cause})") from None

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _version(connection: sa.Connection) -> str | None:
    """Return the version of the database's tables; None of one that is new."""
    if not sa.inspect(connection).has_table(ABOUT.name):
        return None
    return connection.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.key == "version"))


def _bring_up_to_date(connection: sa.Connection) -> None:
    """Add the columns that an older database lacks, and note the version."""
    known = sa.inspect(connection)
    for table in metadata.tables.values():
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                what = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {what}")
    connection.execute(sa.delete(ABOUT).where(ABOUT.c.key == "version"))
    connection.execute(sa.insert(ABOUT).values(key="version", value=VERSION))


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, which is made readable by its owner only."""
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); use a folder you may write to"
        ) from None
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def _understood(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise InputError(
            "the review's database is no URL; write postgresql://user@host/name"
        ) from None
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite" or not url.database:
        raise InputError(
            f"{url.render_as_string()}: the review runs on SQLite and PostgreSQL; "
            "write postgresql://user@host/name"
        )
    return url


def _settings(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60}}
    return {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}


def _settle(connection: sqlite3.Connection, _record: Any) -> None:
    """Set up a new connection: readers beside the writer, and durable commits."""
    connection.isolation_level = None  # transactions begin where `_begin` says
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=60000")


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction; a writer's takes the lock at once, so that it never has to give up."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
