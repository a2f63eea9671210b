"""Many items: bounded, durable, resumed; one annotator's trouble is not another's."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w

from prelabel.errors import InputError
from prelabel.ledger import Ledger
from prelabel.project import Project, load_project
from prelabel.run import GIVE_UP, RunStatus, label, label_async

TESTS = Path(__file__).parent


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def texts(n: int) -> list[str]:
    return [f"text {i}" for i in range(n)]


def rewrite(project: Project, file: str, change: Callable[[str], str]) -> Project:
    path = project.folder / file
    path.write_text(change(path.read_text()))
    return load_project(project.folder)


def count(project: Project) -> int:
    with sqlite3.connect(project.state / "ledger.sqlite") as db:
        (found,) = db.execute("SELECT count(*) FROM annotations").fetchone()
    db.close()
    return int(found)


def test_every_item_gets_its_own_label(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.005
    project = p.make_project(tmp_path, texts(200), [p.openai_like(wire), p.anthropic_like(wire)])
    assert label(project).outcomes == {"labeled": 400}
    found = p.annotations(project)
    for n, text in enumerate(texts(200)):
        right = w.chosen(text, wire.schema({}))["label"]
        assert found[f"gpt i{n}"].label == right
        assert found[f"claude i{n}"].label == right


@pytest.mark.parametrize(("settings", "run", "most"), [({}, 5, 5), ({"concurrency": 2}, 9, 2)])
def test_calls_in_flight_are_bounded(
    tmp_path: Path, wire: w.Wire, settings: dict[str, Any], run: int, most: int
) -> None:
    wire.delay = 0.02
    project = p.make_project(
        tmp_path, texts(40), [p.openai_like(wire, **settings)], concurrency=run
    )
    label(project)
    assert wire.peak == most


def test_progress_counts_only_what_is_on_disk(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.05
    project = p.make_project(tmp_path, texts(60), [p.openai_like(wire)], concurrency=4)
    seen: list[tuple[int, int]] = []

    def report(status: RunStatus) -> None:
        seen.append((sum(status.outcomes.values()), count(project)))

    status = label(project, report=report)
    assert len(seen) >= 3
    assert all(said <= there for said, there in seen)
    assert seen[-1] == (60, 60)
    assert (status.done, status.total, status.skipped, status.bought) == (60, 60, 0, 60)
    assert status.projected == pytest.approx(status.spent)


def test_limit_and_the_same_command_again(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, texts(30), [p.openai_like(wire)])
    first = label(project, limit=10)
    assert (first.total, first.done) == (10, 10)
    again = label(project)
    assert (again.total, again.skipped, again.outcomes["labeled"]) == (30, 10, 20)
    assert label(project).skipped == 30
    assert max(wire.calls.values()) == 1
    assert count(project) == 30


def test_only_the_annotators_named(tmp_path: Path, wire: w.Wire) -> None:
    annotators = [p.openai_like(wire, "one"), p.openai_like(wire, "two", seed=1)]
    project = p.make_project(tmp_path, texts(3), annotators)
    assert label(project, ["two"]).total == 3
    with pytest.raises(InputError, match=r"'three' is not in prelabel\.yaml; there are: one, two"):
        label(project, ["three"])


def test_a_row_more_costs_a_row(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, texts(20), [p.openai_like(wire)])
    label(project)
    calls = sum(wire.calls.values())
    row = json.dumps({"id": "new", "text": "a new one"})
    project = rewrite(project, "items.jsonl", lambda old: f"{row}\n{old}")
    (project.state / "ledger.sqlite").rename(tmp_path / "old")  # even with the ledger gone
    status = label(project)
    assert sum(wire.calls.values()) == calls + 1
    assert status.outcomes == {"labeled": 21}
    assert status.replayed == 20


def test_a_text_that_changes_is_labeled_anew(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, texts(5), [p.openai_like(wire)])
    label(project)
    project = rewrite(project, "items.jsonl", lambda old: old.replace("text 3", "other words"))
    assert label(project).outcomes == {"labeled": 1}
    assert wire.calls["other words"] == 1
    found = p.annotations(project)
    assert len(found) == 5
    assert found["i3"].label == w.chosen("other words", wire.schema({}))["label"]
    assert count(project) == 6


def test_a_guideline_that_changes_labels_anew_and_keeps_the_old(
    tmp_path: Path, wire: w.Wire
) -> None:
    project = p.make_project(tmp_path, texts(5), [p.openai_like(wire)])
    label(project)
    old = project.guideline.hash
    project = rewrite(
        project, "guideline.yaml", lambda text: text.replace("It is toxic.", "It really hurts.")
    )
    assert label(project).outcomes == {"labeled": 5}
    ledger = Ledger(project.state / "ledger.sqlite")
    assert ledger.hashes() == {old: 5, project.guideline.hash: 5}
    ids = [row["id"] for row in ledger.annotators()]
    assert len(list(ledger.current(ids, old))) == 5
    ledger.close()


def test_stopping_finishes_the_calls_in_flight(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.1
    project = p.make_project(tmp_path, texts(100), [p.openai_like(wire)], concurrency=5)
    ends: list[Callable[[], None]] = []

    def report(status: RunStatus) -> None:
        if status.outcomes:
            ends[0]()

    status = asyncio.run(label_async(project, report=report, stop=ends.append))
    calls = sum(wire.calls.values())
    assert 5 <= calls < 100
    assert status.outcomes == {"labeled": calls}
    assert count(project) == calls == sum(wire.answered.values())
    assert status.stopped == ["on request; run the same command again to continue"]
    assert label(project).outcomes == {"labeled": 100 - calls}
    assert max(wire.calls.values()) == 1


def test_stopping_does_not_wait_for_a_provider_that_asked_to_wait(
    tmp_path: Path, wire: w.Wire
) -> None:
    wire.script = lambda text, n: w.Reply(
        status=429, body=w.error("slow", "rate"), headers={"Retry-After": "60"}
    )
    project = p.make_project(tmp_path, texts(10), [p.openai_like(wire)], retries=5)
    ends: list[Callable[[], None]] = []
    started = time.monotonic()

    def report(_status: RunStatus) -> None:
        if time.monotonic() - started > 1:
            ends[0]()

    status = asyncio.run(label_async(project, report=report, stop=ends.append))
    assert time.monotonic() - started < 10
    assert status.done == 0
    assert wire.calls
    assert max(wire.calls.values()) == 1


def test_cutting_a_run_off_counts_what_may_have_been_billed(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.6
    project = p.make_project(tmp_path, texts(10), [p.openai_like(wire)], concurrency=3)

    async def cut() -> None:
        running = asyncio.create_task(label_async(project, max_cost=1.0))
        while len(wire.times) < 3:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cut())
    wire.delay = 0
    status = label(project, max_cost=1.0)
    assert status.outcomes == {"labeled": 10}
    assert status.unconfirmed > 0


@pytest.mark.parametrize("behaviour", ["unavailable", "bad"])
def test_a_provider_that_is_down_ends_the_run(tmp_path: Path, wire: w.Wire, behaviour: str) -> None:
    wire.script = lambda text, n: w.BEHAVIOURS[behaviour]()
    project = p.make_project(tmp_path, texts(300), [p.openai_like(wire)], retries=0)
    status = label(project)
    assert f"annotator 'gpt': {GIVE_UP} failures in a row, the last: " in status.stopped[0]
    assert "\n" not in status.stopped[0]
    assert GIVE_UP <= status.outcomes["failed"] < 100
    assert not status.fatal
    wire.script = w.by_mark
    assert label(project).outcomes == {"labeled": 300}


def test_failures_between_answers_do_not_end_the_run(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda text, n: w.BEHAVIOURS["down" if int(text[5:]) % 8 else "valid"]()
    project = p.make_project(tmp_path, texts(80), [p.openai_like(wire)], retries=0)
    status = label(project)
    assert status.outcomes == {"labeled": 10, "failed": 70}
    assert not status.stopped


def test_two_runs_at_once_are_refused(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.3
    project = p.make_project(tmp_path, texts(3), [p.openai_like(wire)])
    first = threading.Thread(target=label, args=[project])
    first.start()
    while not wire.calls:
        time.sleep(0.01)
    with pytest.raises(InputError, match="another run is writing here") as caught:
        label(load_project(tmp_path))
    assert "\n" not in str(caught.value)
    first.join()
    assert label(project).skipped == 3


def test_a_second_process_may_read_while_a_run_writes(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.03
    project = p.make_project(tmp_path, texts(300), [p.openai_like(wire)], concurrency=4)
    code = (
        "import sys, projects\n"
        "from prelabel.project import load_project\n"
        "project, seen = load_project(sys.argv[1]), [0]\n"
        "while seen[-1] < 300: seen.append(len(projects.annotations(project)))\n"
        "assert seen == sorted(seen); print(len(set(seen)))\n"
    )
    label(project, limit=1)
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert label(project).outcomes == {"labeled": 299}
    out, _ = reader.communicate(timeout=30)
    assert reader.returncode == 0
    assert int(out) > 1


def test_when_nothing_can_be_written_nothing_is_bought(
    tmp_path: Path, wire: w.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.delay = 0.05
    project = p.make_project(tmp_path, texts(60), [p.openai_like(wire)], concurrency=2)

    def full(*_args: Any) -> None:
        raise InputError("ledger.sqlite: the ledger cannot be written (disk is full)")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", full)
        with pytest.raises(InputError, match="disk is full"):
            label(project)
    bought = sum(wire.calls.values())
    assert bought < 40
    again = label(project)
    assert (again.outcomes, again.replayed) == ({"labeled": 60}, bought)
    assert max(wire.calls.values()) == 1


CHECK_READ_ONLY = """
import os, sys
from prelabel.errors import InputError
from prelabel.project import load_project
from prelabel.run import label
label(load_project(sys.argv[1]))  # all is imported before root steps down
if os.geteuid() == 0:
    os.setuid(65534)
try:
    label(load_project(sys.argv[2]))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_is_read_only_is_one_line(tmp_path: Path, wire: w.Wire, there: bool) -> None:
    p.make_project(tmp_path / "good", ["x"], [p.openai_like(wire)])
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which is its owner's alone
        folder = Path(name)
        project = p.make_project(folder, ["x"], [p.openai_like(wire)])
        if there:
            label(project)
            for path in (folder / ".prelabel").rglob("*"):
                path.chmod(0o555 if path.is_dir() else 0o444)
            (folder / ".prelabel").chmod(0o555)
        folder.chmod(0o555)
        command = [sys.executable, "-c", CHECK_READ_ONLY, str(tmp_path / "good"), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    assert ".prelabel" in done.stdout


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}])
def test_a_provider_that_allows_little_is_asked_less(
    tmp_path: Path, wire: w.Wire, headers: dict[str, str]
) -> None:
    granted: list[float] = []

    def script(_text: str, _n: int) -> w.Reply:
        now = time.monotonic()
        if sum(now - at < 0.5 for at in granted) >= 5:
            return w.Reply(status=429, body=w.error("slow down", "rate"), headers=headers)
        granted.append(now)
        return w.Reply()

    wire.script, wire.delay = script, 0.01
    project = p.make_project(tmp_path, texts(30), [p.openai_like(wire)], retries=5)
    status = label(project)
    assert status.outcomes["labeled"] >= 28
    assert sum(wire.calls.values()) < 120  # 16 at once would ask far more often


def test_one_item_too_dear_does_not_end_the_run(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(
        tmp_path, ["word " * 100_000, *texts(20)], [p.openai_like(wire)], concurrency=1
    )
    status = label(project, max_cost=0.01)
    assert (status.outcomes["labeled"], status.failures["budget"]) == (20, 1)
    assert not status.stopped


def test_giving_up_does_not_wait_for_other_calls_retries(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda text, n: (
        w.BEHAVIOURS["unknown_key"]() if text == "text 5" else w.Reply(
            status=503, body=w.error("later", "x"), headers={"Retry-After": "60"})
    )  # fmt: skip
    wire.delay = 0.05
    project = p.make_project(tmp_path, texts(10), [p.openai_like(wire)], retries=5)
    started = time.monotonic()
    status = label(project)
    assert status.fatal
    assert status.done == 0
    assert time.monotonic() - started < 10
