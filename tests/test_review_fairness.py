"""What is measured of reviewers is what they are: simulated ones of known accuracy and trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import LABELS, Simulated, seeded, truth_of, with_gold

from prelabel.errors import InputError
from prelabel.project import Project
from prelabel.review import deciding, decisions, fairness, lift, queue
from prelabel.review.deciding import Said
from prelabel.review.floor import RISK, verdict
from prelabel.review.results import results, rows
from prelabel.review.serving import refresh
from prelabel.review.store import Reviewer, ensure_reviewer, open_store

RATES = {"gold_rate": 0.5, "wrong_rate": 0.3, "blind_rate": 0.5}
TRUST = {"sure": 0.0, "lazy": 0.6}


class Desk:
    """Where people decide by the functions that the pages call."""

    def __init__(self, project: Project, **terms: Any) -> None:
        self.project = project
        self.database = open_store(project)
        self.terms = refresh(project, self.database, **terms)
        self.number = 0

    def next(self, who: Reviewer) -> queue.Slot | None:
        with self.database.writing() as connection:
            return queue.hand_out(connection, who, self.terms)

    def decide(self, who: Reviewer, slot: queue.Slot, label: Any) -> None:
        self.number += 1
        said = Said(label, "", "", ruling=False)
        request = f"{self.number:032x}"
        deciding.decide(self.database, slot, who, said, request, self.terms, self.project.task)

    def work(
        self, name: str, says: Callable[[str, Any], Any], n: int, role: Any = "reviewer"
    ) -> int:
        """Decide ``n`` items as what ``says`` makes of an item and what is suggested."""
        who = ensure_reviewer(self.database, name, role)
        for done in range(n):
            slot = self.next(who)
            if slot is None:
                return done
            shown = None if slot.arm == "blind" else slot.suggestion
            self.decide(who, slot, says(slot.item_id, shown))
        return n


@contextmanager
def at_desk(project: Project, **terms: Any) -> Iterator[Desk]:
    desk = Desk(project, **terms)
    try:
        yield desk
    finally:
        desk.database.close()


def labels_of(project: Project) -> dict[str, Any]:
    return {item: one.label for item, one in decisions(project).items()}


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A review in which two people of one accuracy decided, who trust suggestions differently."""
    folder = tmp_path_factory.mktemp("review") / "project"
    project = seeded(with_gold(folder, 700, 300, **RATES))
    truth = truth_of(project)
    with at_desk(project) as desk:
        for n, (name, trust) in enumerate(TRUST.items()):
            desk.work(name, Simulated(truth, 0.8, trust, n).says, 300)
    return project


@pytest.mark.parametrize(("name", "trust"), TRUST.items())
def test_known_accuracy_and_known_bias_are_within_their_intervals(
    worked: Project, name: str, trust: float
) -> None:
    found = fairness(worked).reviewers[name]
    alone, elsewhere = 0.8, 0.1  # right, and each of the two wrong labels
    expected = {
        "alone": alone,
        "accepted": trust + (1 - trust) * elsewhere,
        "chosen": elsewhere,
        "bias": trust * (1 - elsewhere),
    }
    for what, value in expected.items():
        estimate = getattr(found, what)
        assert estimate.n > 30, what
        assert estimate.low <= value <= estimate.high, (what, estimate)
    assert (found.bias.low > 0) == (trust > 0)
    # suggestions were right of every second item, and hidden gold is half such items
    suggested = trust * 0.5 + (1 - trust) * alone
    blind = found.alone.n / found.accuracy.n
    mixed = blind * alone + (1 - blind) * suggested
    assert found.accuracy.low <= mixed <= found.accuracy.high


def test_the_rates_are_those_that_were_set(worked: Project) -> None:
    own = [row for row in rows(worked) if row["author"] == "sure"]
    n = len(own)
    hidden = [row for row in own if row["trial"] in ("gold", "planted")]
    wrong = [row for row in hidden if row["trial"] == "planted" and row["arm"] == "suggested"]
    for count, rate in (
        (len(hidden), RATES["gold_rate"]),
        (sum(row["arm"] == "blind" for row in own), RATES["blind_rate"]),
        (len(wrong), RATES["wrong_rate"] * (1 - RATES["blind_rate"])),
    ):
        assert abs(count - n * rate) < 4 * (n * rate * (1 - rate)) ** 0.5
    truth = truth_of(worked)
    assert all(row["suggestion"] != truth[row["id"]] for row in wrong)


def test_lots_can_be_drawn_again(tmp_path: Path) -> None:
    def given(folder: str, seed: str) -> list[tuple[str, str, str, str]]:
        project = seeded(with_gold(tmp_path / folder, 60, 30, **RATES), seed)
        with at_desk(project) as desk:
            truth = truth_of(project)
            desk.work("ada", lambda item, _: truth[item], 40)
        return [(r["id"], r["arm"], r["trial"], r["suggestion"]) for r in rows(project)]

    first = given("one", "x")
    assert given("two", "x") == first
    assert given("three", "y") != first


def test_hidden_gold_is_measured_and_never_overwritten(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 40, 20, gold_rate=0.5))
    truth = truth_of(project)
    wrong = {item: next(one for one in LABELS if one != label) for item, label in truth.items()}
    with at_desk(project) as desk:
        desk.work("ada", lambda item, _: truth[item] if int(item[1:]) % 2 else wrong[item], 60)
    hidden = {row["id"]: row for row in rows(project) if row["trial"]}
    assert len(hidden) > 5
    assert hidden.keys() <= {f"i{n}" for n in range(20)}
    final = decisions(project)
    for item, row in hidden.items():
        odd = int(item[1:]) % 2
        assert row["status"] == ("final" if odd else "against gold")
        assert (item in final) == bool(odd)
        if odd:
            assert final[item].label == truth[item]
    found = fairness(project)
    assert {one.item_id for one in found.disputed} == {i for i in hidden if not int(i[1:]) % 2}
    for one in found.disputed:
        assert (one.gold, one.said) == (truth[one.item_id], ((wrong[one.item_id], ("ada",)),))
    told = results(project)
    assert told.hidden_gold == len(hidden)
    assert told.against_gold == len(found.disputed)


def test_below_the_floor_work_goes_back_and_is_never_dropped(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 80, 40, gold_rate=0.5))
    truth = truth_of(project)
    good, bad = Simulated(truth, 1.0, 0.0, 0), Simulated(truth, 0.3, 0.0, 0)
    with at_desk(project) as desk:
        desk.work("bo", good.says, 20)
        before = labels_of(project)
        desk.work("ada", bad.says, 45)
        found = fairness(project)
        assert found.floors == {"ada": "below", "bo": "open"}
        assert found.flagged == ("ada",)
        final = decisions(project)
        assert {one.author for one in final.values()} <= {"bo", "ada"}
        hidden = {row["id"] for row in rows(project) if row["trial"]}
        assert all(item in hidden for item, one in final.items() if one.author == "ada")
        assert before.items() <= labels_of(project).items()
        waiting = results(project).flagged["ada"]
        assert waiting == sum(row["status"] == "flagged" for row in rows(project)) > 10
        kept = len(list(rows(project)))
        # what ada decided is handed to bo, blind, and counts once it was confirmed or not
        with desk.database.reading() as connection:
            assert queue.counts(connection)["open"] >= waiting
        desk.work("bo", good.says, 200)
        assert len(list(rows(project))) > kept
        again = {row["id"]: row for row in rows(project) if row["author"] == "bo"}
        ada = [r for r in rows(project) if r["author"] == "ada" and not r["trial"]]
        assert {again[row["id"]]["arm"] for row in ada} == {"blind"}
        for row in ada:
            assert row["status"] == ("agrees" if row["label"] == truth[row["id"]] else "overruled")
        assert results(project).flagged == {"ada": 0}
        assert {decisions(project)[row["id"]].author for row in ada} == {"bo"}


def test_a_flag_is_lifted_for_a_reason(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 80, 40, gold_rate=0.5))
    truth = truth_of(project)
    with at_desk(project) as desk:
        desk.work("ada", Simulated(truth, 0.3, 0.0, 0).says, 45)
        assert fairness(project).flagged == ("ada",)
        settled = len(decisions(project))
        with pytest.raises(InputError, match="say it with --reason"):
            lift(project, "ada", reason=" ")
        with pytest.raises(InputError, match="'bo' is not flagged; flagged: ada"):
            lift(project, "bo", reason="x")
        lift(project, "ada", reason="the gold was wrong")
        assert fairness(project).floors == {"ada": "open"}
        assert len(decisions(project)) > settled
        with desk.database.reading() as connection:
            done = queue.counts(connection)["done"]
        assert done == sum(not row["trial"] for row in rows(project))
        desk.work("ada", Simulated(truth, 0.1, 0.0, 1).says, 60)
        assert fairness(project).flagged == ("ada",)  # the count began anew, not the floor


def test_flags_in_the_queue_are_those_of_the_facts(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 60, 30, gold_rate=0.5))
    truth = truth_of(project)
    with at_desk(project) as desk:
        desk.work("ada", Simulated(truth, 0.4, 0.0, 3).says, 30)
        desk.work("bo", Simulated(truth, 0.9, 0.0, 4).says, 30)

        def stages() -> dict[str, str]:
            with desk.database.reading() as connection:
                return {row.item_id: row.stage for row in connection.execute(queue.QUEUE.select())}

        before = stages()
        refresh(project, desk.database)
        assert stages() == before


@pytest.mark.parametrize("accuracy", [0.85, 0.9])
def test_who_reaches_the_floor_is_seldom_flagged_however_often_one_looks(accuracy: float) -> None:
    drawn = np.random.default_rng(0)
    people, looks = 300, 150
    right = drawn.random((people, looks)) < accuracy
    ever = sum(
        any(verdict(own[:n].tolist(), 0.85) == "below" for n in range(10, looks, 5))
        for own in right
    )
    assert ever <= people * RISK
    low = drawn.random((people, looks)) < 0.6
    assert sum(verdict(own.tolist(), 0.85) == "below" for own in low) > 0.95 * people
    high = drawn.random((people, 2 * looks)) < 0.97
    assert sum(verdict(own.tolist(), 0.85) == "reached" for own in high) > 0.9 * people
