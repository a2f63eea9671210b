"""Qualification: the rule against exact chances, and the way there for people, LLMs and records."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from audit_projects import fill, rows_of
from hypothesis import given
from hypothesis import strategies as st
from projects import make_project, openai_like
from scipy.stats import binom, binomtest
from typer.testing import CliRunner
from wire import Reply, serving

from prelabel import api, qualify
from prelabel.cli import app
from prelabel.errors import InputError
from prelabel.project import Project, load_project
from prelabel.qualification import LEVEL, decided, fewest, level_of, measured, needed, passes
from prelabel.qualification_log import read_record, unqualified
from prelabel.review.store import invite
from prelabel.run import label

LABELS = ("toxic", "not_toxic")


@pytest.mark.parametrize("attempt", [1, 2, 7])
@pytest.mark.parametrize(("right", "n"), [(93, 100), (100, 100), (0, 20), (171, 180)])
def test_the_interval_is_the_exact_one(right: int, n: int, attempt: int) -> None:
    found = measured(right, n, attempt)
    level = 1 - 2 * 0.05 / (attempt * (attempt + 1))
    low, high = binomtest(right, n).proportion_ci(level, method="exact")
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_the_interval_decides_and_not_the_share() -> None:
    found = decided(91, 100, 1, 0.85)
    assert not found.qualified
    assert "91.0%" in found.reason
    assert "does not reach 0.85" in found.reason
    assert found.needed is not None
    assert decided(93, 100, 1, 0.85).qualified  # low = 0.8611
    assert decided(80, 100, 1, 0.85).needed is None
    assert "no more items would help" in decided(80, 100, 1, 0.85).reason


@given(st.floats(0.5, 0.99), st.integers(1, 8))
def test_the_smallest_test_is_the_smallest(threshold: float, attempt: int) -> None:
    n = fewest(threshold, attempt)
    assert passes(n, n, attempt, threshold)
    assert n == 1 or not passes(n - 1, n - 1, attempt, threshold)


def test_what_is_needed_is_enough_and_no_more() -> None:
    for right, n, threshold in ((91, 100, 0.85), (96, 100, 0.9), (470, 500, 0.93)):
        size = needed(right / n, threshold, 2)
        assert size is not None
        for k, enough in ((size, True), (size - 3, False)):
            low = binom_low(right / n * k, k, level_of(2))
            assert (low >= threshold) == enough


def binom_low(k: float, n: int, level: float) -> float:
    from scipy.stats import beta

    return float(beta.ppf(level, k, n - k + 1))


@pytest.mark.parametrize("threshold", [0.7, 0.85, 0.95])
@pytest.mark.parametrize("n", [60, 100, 250])
def test_who_is_at_the_threshold_hardly_ever_passes_however_often(threshold: float, n: int) -> None:
    fails = 1.0
    for attempt in range(1, 200):
        least = next((k for k in range(n + 1) if passes(k, n, attempt, threshold)), n + 1)
        fails *= 1 - binom.sf(least - 1, n, threshold)
    assert 1 - fails <= LEVEL


def test_the_chance_of_passing_by_simulation() -> None:
    rng = random.Random(5)
    ever = 0
    for _ in range(3000):
        for attempt in range(1, 7):
            right = sum(rng.random() < 0.85 for _ in range(100))
            if decided(right, 100, attempt, 0.85).qualified:
                ever += 1
                break
    # 3 standard errors above 5%
    assert ever / 3000 <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / 3000) ** 0.5
    assert ever > 20  # and the level is used, not thrown away


def with_gold(folder: Path, n: int, annotators: Any = (), **settings: Any) -> Project:
    """Make a project whose n items all have gold: the label is the item's first word."""
    texts = [f"{LABELS[k % 2]} says number {k}" for k in range(n)]
    run = {"timeout": 60.0} | settings.pop("run", {})  # the first call imports a lot
    project = make_project(folder, texts, list(annotators), **run)
    rows = [json.dumps({"id": f"i{k}", "label": LABELS[k % 2]}) + "\n" for k in range(n)]
    (folder / "gold.jsonl").write_text("".join(rows))
    data = json.loads((folder / "prelabel.yaml").read_text())
    (folder / "prelabel.yaml").write_text(json.dumps(data | {"gold": {"path": "gold.jsonl"}}))
    return load_project(project.folder)


def truth(project: Project, wrong: int = 0, among: Any = None) -> dict[str, str]:
    """Return gold's labels, the first few of ``among`` wrong."""
    found = {g.item_id: g.label for g in project.gold}
    for item in list(among or found)[:wrong]:
        found[item] = LABELS[found[item] == LABELS[0]]
    return found


def answer(project: Project, sheet: Path, wrong: int = 0, **more: Any) -> Any:
    """Have a sheet written, fill it in, and have it read."""
    made = qualify(project, "ada", sheet=sheet, **more)
    assert made.path == sheet
    assert made.stage == "asked"
    items = [row["id"] for row in rows_of(sheet)]
    fill(sheet, truth(project, wrong, items))
    return qualify(project, "ada", sheet=sheet, **more)


def test_a_person_qualifies_by_sheets(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 200)
    practice = answer(project, tmp_path / "1.csv", wrong=2)
    assert (practice.stage, practice.asked, practice.accuracy.value) == ("practiced", 50, 0.96)
    assert len(practice.errors) == 2
    assert practice.errors[0].guideline == (
        "toxic: It is toxic.",
        "not_toxic: It is not_toxic.",
    )
    header = rows_of(tmp_path / "1.csv")[0]
    assert set(header) == {"id", "text", "label", "audit"}
    found = answer(project, tmp_path / "2.csv", wrong=3)
    assert found.stage == "qualified"
    assert found.accuracy.n == 100
    first, second = ({r["id"] for r in rows_of(tmp_path / f"{k}.csv")} for k in (1, 2))
    assert not first & second
    again = qualify(project, "ada")
    assert (again.stage, again.next) == ("qualified", "")
    with pytest.raises(InputError, match="50 gold items are left"):  # for more, another test
        qualify(project, "ada", sheet=tmp_path / "3.csv", threshold=0.95)
    assert unqualified(project, "ada") is None


def test_a_failed_test_is_not_taken_twice(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 400)
    answer(project, tmp_path / "1.csv")
    found = answer(project, tmp_path / "2.csv", wrong=9)  # 91%, above the threshold
    assert (found.stage, found.accuracy.value) == ("failed", 0.91)
    assert found.accuracy.low is not None
    assert found.accuracy.low < 0.85
    assert found.needed is not None
    assert len(found.errors) == 9
    fill(tmp_path / "2.csv", truth(project))
    with pytest.raises(InputError, match="was read before, with other labels"):
        qualify(project, "ada", sheet=tmp_path / "2.csv")
    waits = qualify(project, "ada", sheet=tmp_path / "3.csv")
    assert waits.path is None
    assert "--again" in waits.next
    assert not (tmp_path / "3.csv").exists()
    found = answer(project, tmp_path / "3.csv", wrong=3, again=True)
    # 97 of 100: at the first test's level it would pass at .90, at the second's at .85 only
    assert (found.stage, found.attempt) == ("qualified", 2)
    assert "test 2: 99.2% sure" in found.reason
    drawn = [{item for item, _ in one.items} for one in read_record(project).drawn.values()]
    assert len(set.union(*drawn)) == sum(map(len, drawn)) == 250


def test_a_threshold_stays_until_another_is_named(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 200)
    answer(project, tmp_path / "1.csv", threshold=0.7)
    found = answer(project, tmp_path / "2.csv", wrong=20)
    assert (found.stage, found.threshold) == ("qualified", 0.7)
    assert qualify(project, "ada", sheet=tmp_path / "3.csv").path is None
    assert len(read_record(project).drawn) == 2


def test_a_set_that_waits_is_not_drawn_again(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 200)
    qualify(project, "ada", sheet=tmp_path / "1.csv")
    qualify(project, "ada", sheet=tmp_path / "2.csv", seed=7)
    assert rows_of(tmp_path / "1.csv") == rows_of(tmp_path / "2.csv")
    assert len(read_record(project).drawn) == 1


def test_draws_are_by_seed(tmp_path: Path) -> None:
    sets = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        project = with_gold(tmp_path / name, 200)
        qualify(project, "ada", sheet=tmp_path / name / "1.csv", seed=seed)
        sets.append([row["id"] for row in rows_of(tmp_path / name / "1.csv")])
    assert sets[0] == sets[1] != sets[2]


def test_another_guideline_asks_for_another_test_at_the_first_level(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 500)
    answer(project, tmp_path / "1.csv")
    assert answer(project, tmp_path / "2.csv").qualified
    guideline = json.loads((tmp_path / "guideline.yaml").read_text())
    (tmp_path / "guideline.yaml").write_text(json.dumps(guideline | {"purpose": "Another."}))
    changed = load_project(tmp_path)
    assert qualify(changed, "ada").stage == "nothing asked"
    found = answer(changed, tmp_path / "3.csv")
    assert (found.stage, found.attempt) == ("qualified", 1)


def test_bad_sheets_and_settings_are_one_line(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 200)
    sheet = tmp_path / "1.csv"
    with pytest.raises(InputError, match="no annotator 'ada' here; for a person write --sheet"):
        qualify(project, "ada")
    with pytest.raises(InputError, match=r"a test of 20 items cannot show 0.85"):
        qualify(project, "ada", sheet=sheet, test=20)
    with pytest.raises(InputError, match=r"threshold must be a share such as 0.85, got 85"):
        qualify(project, "ada", sheet=sheet, threshold=85)
    with pytest.raises(InputError, match="200 gold items are left that 'ada' was not asked"):
        qualify(project, "ada", sheet=sheet, test=199)
    qualify(project, "ada", sheet=sheet)
    rows = rows_of(sheet)
    fill(sheet, truth(project), rows[:-1])
    with pytest.raises(InputError, match="1 of 50 rows have no label; fill in all"):
        qualify(project, "ada", sheet=sheet)
    with pytest.raises(InputError, match="no sheet that was written for 'bob'"):
        qualify(project, "bob", sheet=sheet)
    fill(sheet, {rows[0]["id"]: "nonsense"}, rows[:1])
    with pytest.raises(InputError, match=r"1.csv:2: label 'nonsense' is not one of: toxic"):
        qualify(project, "ada", sheet=sheet)
    assert not read_record(project).taken


def right_or_not(wrong: set[int]) -> Any:
    """Return a script that answers by an item's first word, but for some numbers."""

    def script(text: str, _n: int) -> Reply:
        word, number = text.split(maxsplit=1)[0], int(text.rsplit(maxsplit=1)[-1])
        said = LABELS[LABELS.index(word) ^ (number in wrong)]
        return Reply(json.dumps({"label": said}))

    return script


def test_an_llm_qualifies_and_only_then_labels(tmp_path: Path) -> None:
    with serving(right_or_not({3})) as wire:
        gpt = openai_like(wire)
        project = with_gold(tmp_path, 160, [gpt], run={"require_qualified": 0.85})
        with pytest.raises(InputError, match=r"annotator 'gpt': not qualified for 0.85"):
            label(project)
        assert not wire.calls
        first = qualify(project, "gpt")
        assert first.stage == "practiced"
        assert sum(wire.calls.values()) == 50
        second = qualify(project, "gpt")
        assert second.stage == "qualified"
        assert sum(wire.calls.values()) == 150
        assert qualify(project, "gpt").qualified
        status = label(project)
        assert status.done == 160
        assert sum(wire.calls.values()) == 160
        changed = json.loads((tmp_path / "prelabel.yaml").read_text())
        changed["annotators"][0]["temperature"] = 0.5
        (tmp_path / "prelabel.yaml").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"not qualified for 0.85"):
            label(load_project(tmp_path))


def test_an_llm_that_is_not_good_enough(tmp_path: Path) -> None:
    with serving(right_or_not(set(range(0, 300, 9)))) as wire:
        project = with_gold(tmp_path, 300, [openai_like(wire)])
        qualify(project, "gpt")
        found = qualify(project, "gpt")
        assert found.stage == "failed"
        calls = sum(wire.calls.values())
        assert qualify(project, "gpt").stage == "failed"  # the same test, not another
        assert sum(wire.calls.values()) == calls
        assert qualify(project, "gpt", again=True).attempt == 2
        with pytest.raises(InputError, match="50 gold items are left"):
            qualify(project, "gpt", again=True)


def test_an_outage_is_no_wrong_answer(tmp_path: Path) -> None:
    down = {"now": True}

    def script(text: str, n: int) -> Reply:
        return Reply(status=500, body="") if down["now"] else right_or_not(set())(text, n)

    with serving(script) as wire:
        project = with_gold(tmp_path, 150, [openai_like(wire)], run={"retries": 0})
        with pytest.raises(InputError, match="have no annotation by 'gpt' yet"):
            qualify(project, "gpt")
        assert not read_record(project).taken
        down["now"] = False
        assert qualify(project, "gpt").stage == "practiced"
        assert len(read_record(project).drawn) == 1


def test_recorded_labels_qualify_on_what_they_are_of(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 260)
    own = dict(list(truth(project).items())[:180])
    rows = [json.dumps({"id": i, "annotator": "crowd", "label": x}) + "\n" for i, x in own.items()]
    (tmp_path / "said.jsonl").write_text("".join(rows))
    api.import_annotations(project, tmp_path / "said.jsonl", layout="long")
    assert qualify(project, "crowd").stage == "practiced"
    assert qualify(project, "crowd").qualified
    asked = {i for one in read_record(project).drawn.values() for i, _ in one.items}
    assert asked <= own.keys()
    with pytest.raises(InputError, match="'crowd' is no person; leave --sheet out"):
        qualify(project, "crowd", sheet=tmp_path / "s.csv")


def test_gold_that_says_nothing_is_not_asked(tmp_path: Path) -> None:
    project = with_gold(tmp_path, 200)
    guideline = json.loads((tmp_path / "guideline.yaml").read_text())
    guideline["rulings"] = [{"id": "R1", "text": "toxic says  NUMBER 0", "label": "toxic"}]
    (tmp_path / "guideline.yaml").write_text(json.dumps(guideline))
    rows = [json.loads(line) for line in (tmp_path / "gold.jsonl").read_text().splitlines()]
    rows[1]["author"] = "Ada"
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    project = load_project(tmp_path)
    qualify(project, "ada", sheet=tmp_path / "1.csv", practice=98)
    (drawn,) = read_record(project).drawn.values()
    assert not {"i0", "i1"} & {item for item, _ in drawn.items}
    with pytest.raises(InputError, match="199 gold items are left that 'bob'"):
        qualify(project, "bob", sheet=tmp_path / "2.csv", practice=100)


def test_reviewers_who_are_not_qualified_are_given_nothing(tmp_path: Path) -> None:
    from review_site import record
    from review_site import serving as site_of

    project = with_gold(tmp_path, 200, run={"require_qualified": 0.85})
    record(project, [("i0", "x", "toxic"), ("i0", "y", "not_toxic")])
    with site_of(project) as site:
        senior = site.join("owner", "senior")
        assert senior.path.startswith("/item/")  # gold is made by the like of them
        token = invite(site.database, "ada")
        client = site.client()
        refused = client.post("/login", data={"token": token}, headers={"origin": site.url})
        assert refused.status_code == 403
        assert "You are not qualified for 0.85 under this guideline" in refused.text
        answer(project, tmp_path / "1.csv")
        answer(project, tmp_path / "2.csv")
        assert client.get("/next").url.path.startswith("/item/")


def test_the_command(tmp_path: Path) -> None:
    with_gold(tmp_path, 200)
    sheet = tmp_path / "s.csv"
    run = CliRunner()
    made = run.invoke(app, ["qualify", "ada", "-p", str(tmp_path), "--sheet", str(sheet)])
    assert made.exit_code == 1
    assert "fill in the column 'label'" in made.output
    project = load_project(tmp_path)
    fill(sheet, truth(project, 1, [row["id"] for row in rows_of(sheet)]))
    read = run.invoke(app, ["qualify", "ada", "-p", str(tmp_path), "--sheet", str(sheet)])
    assert read.exit_code == 1
    assert "gold says" in read.output
    assert "| toxic: It is toxic." in read.output
    sheet = tmp_path / "t.csv"
    args = ["qualify", "ada", "-p", str(tmp_path), "--sheet", str(sheet), "--json"]
    assert run.invoke(app, args).exit_code == 1
    fill(sheet, truth(project))
    told = run.invoke(app, args)
    assert told.exit_code == 0
    said = json.loads(told.stdout)
    assert (said["qualified"], said["attempt"], said["accuracy"]["n"]) == (True, 1, 100)
