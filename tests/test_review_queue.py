"""Who gets which item, what opinions come to, and that only facts are stored; on both databases."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from projects import make_project

from prelabel.errors import InputError
from prelabel.project import Project
from prelabel.review import deciding, queue, store
from prelabel.review.building import build
from prelabel.review.deciding import Said, StaleError
from prelabel.review.entries import Candidate, Entry
from prelabel.review.queue import Slot, Terms
from prelabel.review.results import decisions, results, rows
from prelabel.review.schema import (
    ABOUT,
    ADJUDICATIONS,
    CHECKS,
    FLAGS,
    LEASES,
    LIFTS,
    QUEUE,
    VERSION,
    Database,
    sqlite_url,
)
from prelabel.review.store import Reviewer


def find_postgres() -> Path | None:
    places = [
        shutil.which("postgres"),
        *map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    ]
    folders = [Path(os.path.realpath(place)).parent for place in places if place]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server started for the tests."""
    programs = find_postgres()
    pytest.importorskip("psycopg")
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    folder = tmp_path_factory.mktemp("postgres")
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = {"user": "postgres"}
        shutil.chown(folder, "postgres")
        for above in list(folder.parents)[:-2]:
            above.chmod(above.stat().st_mode | 0o011)
    data = folder / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    init = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(init, check=True, capture_output=True, **user)
    run = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(run, stdout=log, stderr=log, **user)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)  # does not wait for clients
        server.wait()
        log.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "review.sqlite")
    server = request.getfixturevalue("postgres")
    name = f"review_{time.monotonic_ns()}"
    admin = sa.create_engine(
        sa.make_url(f"{server}/postgres").set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
    )
    for attempt in range(50):
        try:
            with admin.connect() as connection:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
            break
        except sa.exc.OperationalError:
            if attempt == 49:
                raise
            time.sleep(0.1)
    admin.dispose()
    return f"{server}/{name}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", [f"text {n}" for n in range(6)], [])


ADA, BO, CY = Reviewer("ada", "reviewer"), Reviewer("bo", "reviewer"), Reviewer("cy", "senior")


class Work:
    """A queue of a project's items, and people at work on it."""

    def __init__(self, database: Database, project: Project, **terms: Any) -> None:
        self.database, self.project = database, project
        self.terms = Terms(project.guideline.hash, **terms)
        self.number = 0
        for reviewer in (ADA, BO, CY):
            store.ensure_reviewer(database, reviewer.name, reviewer.role)
        self.build()

    def build(self) -> None:
        candidates = (Candidate("toxic", ("gpt",)),)
        found = [Entry(item, ("tie",), "toxic", candidates, ()) for item in self.project.items()]
        build(self.database, found, self.terms, self.project.task, rule="r1", facts="f")

    def next(self, who: Reviewer) -> Slot | None:
        with self.database.writing() as connection:
            return queue.hand_out(connection, who, self.terms)

    def request(self) -> str:
        self.number += 1
        return f"{self.number:032x}"

    def decide(
        self, who: Reviewer, label: Any = "toxic", slot: Slot | None = None, **said: Any
    ) -> Slot:
        slot = slot or self.next(who)
        assert slot is not None
        told = Said(label, said.get("cause", ""), said.get("note", ""), said.get("ruling", False))
        request = said.get("request") or self.request()
        deciding.decide(self.database, slot, who, told, request, self.terms, self.project.task)
        return slot

    def undo(self, who: Reviewer) -> str | None:
        with self.database.reading() as connection:
            last = store.last_action(connection, who.name, self.terms.guideline_hash)
        assert last is not None
        return deciding.undo(
            self.database, who, last.n, self.request(), self.terms, self.project.task
        )

    def stages(self) -> dict[str, str]:
        with self.database.reading() as connection:
            query = sa.select(QUEUE.c.item_id, QUEUE.c.stage).order_by(QUEUE.c.position)
            return {row[0]: row[1] for row in connection.execute(query)}

    def stored(self) -> int:
        with self.database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(ADJUDICATIONS)) or 0

    def labels(self) -> dict[str, Any]:
        url = self.database.url.render_as_string(hide_password=False)
        return {item: one.label for item, one in decisions(self.project, url).items()}


def test_two_reviewers_never_have_the_same_item(database: Database, project: Project) -> None:
    work = Work(database, project)
    first, second = work.next(ADA), work.next(BO)
    assert (first.item_id, second.item_id) == ("i0", "i1")
    assert work.next(ADA) == replace(first, shown=first.shown)  # the same one until it is decided
    work.decide(ADA)
    assert work.next(ADA).item_id == "i2"
    assert work.next(BO).item_id == "i1"


def test_many_at_once_get_different_items(database: Database, tmp_path: Path) -> None:
    project = make_project(tmp_path / "many", [f"t{n}" for n in range(60)], [])
    work = Work(database, project)
    people = [Reviewer(f"p{n}", "reviewer") for n in range(6)]
    done: list[str] = []
    lock = threading.Lock()

    def all_day(who: Reviewer) -> None:
        while slot := work.next(who):
            with lock:
                done.append(slot.item_id)
                request = work.request()
            work.decide(who, slot=slot, request=request)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(all_day, people))
    assert sorted(done) == sorted({item.id for item in project.items()})
    assert work.stored() == 60


def test_an_item_left_alone_goes_to_another(database: Database, project: Project) -> None:
    work = Work(database, project, lease=0.15)
    assert work.next(ADA).item_id == "i0"
    assert work.next(BO).item_id == "i1"
    time.sleep(0.2)
    late = work.next(CY)
    assert late.item_id == "i0"  # the first in the queue again, as nobody has it
    work.decide(CY, slot=late)
    assert work.next(ADA).item_id != "i0"
    with database.reading() as connection:
        lost = queue.slot_of(connection, late.key, ADA)
    assert lost.state == "lost"
    work.decide(ADA, "not_toxic", slot=lost)  # what they did all the same is kept
    assert work.labels() == {"i0": "toxic"}


def test_overlap_second_opinions_are_blind_and_conflicts_go_to_a_senior(
    database: Database, project: Project
) -> None:
    work = Work(database, project, overlap=2)
    one = work.decide(ADA, "toxic")
    assert one.arm == "suggested"
    assert work.next(ADA).item_id == "i1"  # not the same item again
    two = work.next(BO)
    assert (two.item_id, two.arm) == ("i0", "blind")
    work.decide(BO, "toxic", slot=two)
    assert work.stages()["i0"] == "done"
    work.decide(ADA, "toxic")
    work.decide(BO, "not_toxic")
    assert work.stages()["i1"] == "conflict"
    assert work.labels() == {"i0": "toxic"}
    assert work.next(ADA).item_id == "i2"
    senior = work.next(CY)
    assert (senior.item_id, senior.stage, senior.arm) == ("i1", "conflict", "suggested")
    assert work.next(Reviewer("di", "senior")).item_id != "i1"  # one senior at a time
    work.decide(CY, "not_toxic", slot=senior)
    assert work.stages()["i1"] == "done"
    assert work.labels() == {"i0": "toxic", "i1": "not_toxic"}


def test_a_double_click_stores_one(database: Database, project: Project) -> None:
    work = Work(database, project)
    slot, request = work.next(ADA), work.request()
    work.decide(ADA, slot=slot, request=request)
    work.decide(ADA, slot=slot, request=request)
    assert work.stored() == 1


def test_undo_brings_back_what_was(database: Database, project: Project) -> None:
    work = Work(database, project)
    first = work.decide(ADA, "toxic")
    again = replace(first, state="decided")
    work.decide(ADA, "not_toxic", slot=again)
    assert work.labels() == {"i0": "not_toxic"}
    assert work.undo(ADA) == first.key
    assert work.labels() == {"i0": "toxic"}
    assert work.stages()["i0"] == "done"
    assert work.next(ADA).item_id == "i1"  # the earlier decision stands
    assert work.undo(ADA) == first.key
    assert work.labels() == {}
    assert work.stages()["i0"] == "open"
    assert work.next(ADA).item_id == "i0"
    assert work.stored() == 4  # nothing was overwritten


def test_skipped_items_come_last_oldest_first(database: Database, project: Project) -> None:
    work = Work(database, project)
    for _ in range(2):
        slot = work.next(ADA)
        deciding.skip(database, slot, ADA, work.request(), work.terms)
    for item in ("i2", "i3", "i4", "i5"):
        assert work.decide(ADA).item_id == item
    slot = work.next(ADA)
    assert slot.item_id == "i0"
    assert work.next(BO).item_id == "i1"  # a skip is one's own
    deciding.skip(database, slot, ADA, work.request(), work.terms)
    assert work.next(ADA).item_id == "i0"  # the other is Bo's now
    assert work.undo(ADA) == slot.key
    assert work.labels().keys() == {"i2", "i3", "i4", "i5"}


def test_the_queue_built_anew_follows_from_the_facts(database: Database, project: Project) -> None:
    work = Work(database, project, overlap=2)
    work.decide(ADA)
    work.decide(BO)
    skipped = work.next(ADA)
    deciding.skip(database, skipped, ADA, work.request(), work.terms)
    work.decide(ADA)
    work.undo(ADA)
    held = {who: work.next(who).item_id for who in (ADA, BO, CY)}
    before = work.stages()

    def leases() -> set[tuple[str, ...]]:
        with database.reading() as connection:
            columns = (LEASES.c.item_id, LEASES.c.reviewer, LEASES.c.state, LEASES.c.arm)
            return {tuple(row) for row in connection.execute(sa.select(*columns))}

    kept = leases()
    work.build()
    assert work.stages() == before
    assert leases() == kept
    assert {who: work.next(who).item_id for who in (ADA, BO, CY)} == held


def test_a_ruling_holds_as_long_as_its_decision_does(database: Database, project: Project) -> None:
    work = Work(database, project)
    slot = work.decide(ADA, "toxic", note="threats count", ruling=True)

    def held() -> list[tuple[str, str, str]]:
        with database.reading() as connection:
            found = store.rulings(connection, project.task)
        return [(one.item_id, one.text, one.decision.note) for one in found]

    assert held() == [("i0", "text 0", "threats count")]
    work.decide(CY, "toxic", slot=replace(slot, arm="suggested"))
    assert held() == [("i0", "text 0", "threats count")]  # a senior agrees
    work.decide(CY, "not_toxic", slot=slot)
    assert held() == []
    work.undo(CY)
    assert held() == [("i0", "text 0", "threats count")]
    work.undo(CY)
    work.undo(ADA)
    assert held() == []


def test_a_server_of_an_older_guideline_stores_nothing(
    database: Database, project: Project
) -> None:
    work = Work(database, project)
    slot = work.next(ADA)
    old = work.terms
    work.terms = replace(old, guideline_hash="another")
    work.build()
    work.terms = old
    with pytest.raises(StaleError):
        work.decide(ADA, slot=slot)
    assert work.stored() == 0


def test_what_was_decided_of_another_text_or_guideline_does_not_count(
    database: Database, project: Project
) -> None:
    work = Work(database, project)
    work.decide(ADA, "toxic")
    work.decide(ADA, None, cause="bad_item")
    url = database.url.render_as_string(hide_password=False)
    assert work.labels() == {"i0": "toxic", "i1": None}
    items = project.folder / "items.jsonl"
    items.write_text(items.read_text().replace("text 0", "text 0, changed"))
    assert work.labels() == {"i1": None}
    found = results(project, url)
    assert (found.settled, found.changed_items, found.other_guidelines) == (1, 1, 0)
    assert found.causes == {"bad_item": 1}
    project.guideline = project.guideline.model_copy(update={"purpose": "another"})
    assert work.labels() == {}
    assert results(project, url).other_guidelines == 2


def test_rows_say_what_became_of_each_opinion(database: Database, project: Project) -> None:
    work = Work(database, project, overlap=2)
    slot = work.decide(ADA, "toxic")
    work.decide(BO, "not_toxic")
    url = database.url.render_as_string(hide_password=False)
    assert [row["status"] for row in rows(project, url)] == ["conflict", "conflict"]
    work.decide(CY, "toxic", slot=slot)
    said = {row["author"]: row for row in rows(project, url)}
    assert {name: row["status"] for name, row in said.items()} == {
        "ada": "agrees", "bo": "overruled", "cy": "final",
    }  # fmt: skip
    assert said["ada"]["rule_hash"] == "r1"
    assert said["ada"]["seconds"] >= 0


def test_nothing_is_made_by_asking(project: Project) -> None:
    assert decisions(project) == {}
    assert results(project).settled == 0
    assert list(rows(project)) == []
    assert not (project.state / "review.sqlite").exists()


def test_an_older_review_is_brought_up_to_date_and_a_newer_refused(
    url: str, project: Project
) -> None:
    opened = Database(url)
    Work(opened, project).decide(ADA, "toxic")
    with opened.writing() as connection:  # what version 1 did not have
        for table in (LIFTS, CHECKS, FLAGS):
            connection.execute(sa.schema.DropTable(table))
        for name in ("adjudications", "leases"):
            for column in ("trial", "suggestion"):
                connection.execute(sa.text(f"ALTER TABLE {name} DROP COLUMN {column}"))
        connection.execute(sa.update(ABOUT).where(ABOUT.c.key == "version").values(value="1"))
    opened.close()
    opened = Database(url)
    work = Work(opened, project)
    assert work.labels() == {"i0": "toxic"}
    work.decide(BO, "not_toxic", request="f" * 32)
    assert work.labels() == {"i0": "toxic", "i1": "not_toxic"}
    with opened.writing() as connection:
        assert store.about(connection, "version") == VERSION
        connection.execute(sa.update(ABOUT).where(ABOUT.c.key == "version").values(value="99"))
    opened.close()
    with pytest.raises(InputError, match="review version 99 is newer; upgrade prelabel"):
        Database(url)
