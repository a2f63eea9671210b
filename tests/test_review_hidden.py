"""Hidden gold cannot be told from any other item, and what is planted changes nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import LABELS, Simulated, seeded, suggestion, truth_of, with_gold
from review_site import Browser, Page, evalset, record, serving

from prelabel.api import route
from prelabel.guideline import Guideline
from prelabel.project import Project, load_project
from prelabel.records import Item
from prelabel.resources import data_folder
from prelabel.review import fairness
from prelabel.review.entries import Candidate, Entry, entries
from prelabel.review.forms import make_form
from prelabel.review.hidden import PLANTABLE, checks, planted, wrong_label
from prelabel.review.lots import lot
from prelabel.review.results import results, rows
from prelabel.tasks import make_task

EVALSETS = sorted(path.parent.name for path in data_folder("evalsets").glob("*/items.jsonl"))

ALWAYS = {"class", "id", "type", "name", "rel", "lang", "method", "action", "href"}


def shape(browser: Browser) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """Return a page's elements without what differs from item to item: ids, texts, names, tokens.

    They are sorted, as the labels that were named stand here and there in the form.
    """
    key = browser.path.removeprefix("/item/")
    found = []
    for tag, attrs in Page(browser.html.replace(key, "KEY")).elements:
        kept = {
            name: re.sub(r"/item/[0-9a-f]{16}", "/item/OTHER", value or "")
            if name in ALWAYS
            else None
            for name, value in attrs.items()
        }
        found.append((tag, tuple(sorted(kept.items()))))
    return sorted(found, key=repr)


def words(browser: Browser, item: str) -> str:
    """Return a page's text without the item, labels and annotators."""
    text = re.sub(r"message \d+ 0\.\d+", "TEXT", Page(browser.html).text)
    text = re.sub(rf"\bi\d+\b|{item}", "ID", text)
    text = re.sub("|".join((*LABELS, "alpha", "beta", "gamma")), "WORD", text)
    text = re.sub(r"\d+ % done", "SO MUCH done", text)
    return " ".join(sorted(text.split()))


def test_pages_of_hidden_gold_are_like_all_others(tmp_path: Path) -> None:
    rates = {"gold_rate": 0.5, "wrong_rate": 0.25, "blind_rate": 0.3}
    project = seeded(with_gold(tmp_path / "project", 100, 60, **rates))
    sees: dict[str, set[Any]] = {}
    with serving(project) as site:
        ada = site.join("ada")
        ada.decide(label="glad")  # so that each page has a last step
        ada.get().decide(label="glad")
        for n in range(50):
            item, path, before = ada.item, ada.path, len(ada.page.headers)
            html = ada.html
            view = [json.dumps(shape(ada)), words(ada, item), sorted(ada.page.headers), before]
            asked = ada.client.post(
                path,
                data=ada.tokens() | {"label": LABELS[n % 3]},
                headers={"origin": site.url},
                follow_redirects=False,
            )
            view += [asked.status_code, asked.headers["location"], sorted(asked.headers)]
            ada.get(path)  # one's own decision
            view += [json.dumps(shape(ada)), words(ada, item)]
            sees[item] = {json.dumps(view), suggestion(html) is None}
            assert not re.search("gold|planted|trial", html)
            ada.get("/next")
    kinds: dict[tuple[str, str], set[str]] = {}
    for row in rows(project):
        if row["id"] in sees:
            view = next(one for one in sees[row["id"]] if isinstance(one, str))
            assert (row["arm"] == "blind") in sees[row["id"]]
            kinds.setdefault((row["arm"], row["trial"]), set()).add(view)
    assert kinds.keys() >= {
        ("suggested", "drawn"), ("suggested", "gold"), ("suggested", "planted"),
        ("blind", "drawn"), ("blind", "planted"),
    }  # fmt: skip
    for arm in ("suggested", "blind"):
        views = [found for (where, _), found in kinds.items() if where == arm]
        assert len(set.union(*views)) == 1, arm


def test_what_is_shown_is_what_is_stored(tmp_path: Path) -> None:
    rates = {"gold_rate": 0.5, "wrong_rate": 0.5, "blind_rate": 0.3}
    project = seeded(with_gold(tmp_path / "project", 80, 40, says="right", **rates))
    truth = truth_of(project)
    seen: dict[str, str | None] = {}
    with serving(project) as site:
        ada = site.join("ada")
        for _ in range(40):
            seen[ada.item] = suggestion(ada.html)
            ada.decide(label=truth[ada.item])
    stored = {row["id"]: row for row in rows(project)}
    for item, shown in seen.items():
        row = stored[item]
        assert (row["arm"] == "blind") == (shown is None)
        assert shown in (None, row["suggestion"])
        if row["trial"] == "planted":
            assert row["suggestion"] != truth[item]
        elif row["arm"] == "suggested":
            assert row["suggestion"] == truth[item]
    assert {row["trial"] for row in stored.values()} == {"drawn", "planted"}


def test_skipped_hidden_gold_comes_again_and_can_be_undone(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 12, 6, gold_rate=0.5))
    with serving(project) as site:
        ada = site.join("ada")
        given = []
        while ada.item not in given:
            given.append(ada.item)
            ada.skip()
        hidden = [item for item in given if int(item[1:]) < 6]
        assert hidden
        again = []
        while ada.item:
            again.append(ada.item)
            ada.decide(label="glad", note="so it is", ruling="1")
            assert "R-" in ada.get("/guideline").html
            ada.get("/next")
        assert sorted(again) == sorted(given)
        ada.undo()
        assert ada.item == again[-1]
        bo = site.join("bo")
        assert bo.item == "" or int(bo.item[1:]) < 6 or bo.item == again[-1]
    assert results(project).hidden_gold >= len(hidden) - 1
    assert fairness(project).overall.skipped == 0


def test_gold_whose_label_was_shown_is_not_hidden(tmp_path: Path) -> None:
    project = with_gold(tmp_path / "project", 40, 20, gold_rate=0.5)
    text = next(iter(project.items())).fields["text"]
    path = project.folder / "guideline.yaml"
    guideline = json.loads(path.read_text())
    guideline["labels"][0]["examples"].append({"text": f"  {text} "})
    path.write_text(json.dumps(guideline))
    said = [json.loads(line) for line in (project.folder / "said.jsonl").read_text().splitlines()]
    project = record(
        load_project(project.folder), [(one["id"], one["annotator"], one["label"]) for one in said]
    )
    truth = truth_of(project)
    with serving(project) as site:
        Simulated(truth, 1.0, 0.0, 0).work(site.join("ada"), 40)
    trial = {row["id"]: row["trial"] for row in rows(project)}
    assert trial["i0"] == ""
    assert set(trial.values()) == {"", "gold"}


THREE = make_task(
    Guideline.model_validate(
        {
            "name": "moods",
            "task": "classification",
            "labels": [{"name": name, "definition": name} for name in (*LABELS, "dull")],
        }
    )
)
PEOPLE = st.lists(st.sampled_from(LABELS), min_size=1, max_size=5)


def entry_of(said: list[str], *, reasons: bool) -> Entry:
    groups = {label: [f"m{n}" for n, one in enumerate(said) if one == label] for label in said}
    ordered = sorted(groups.items(), key=lambda pair: -len(pair[1]))
    found = tuple(
        Candidate(label, tuple(by), tuple(f"{label} by {one}" for one in by) if reasons else ())
        for label, by in ordered
    )
    return Entry(Item("i", {"text": "t"}), ("low agreement: 0.5",), ordered[0][0], found, ())


@given(PEOPLE, st.booleans(), st.sampled_from(LABELS))
def test_a_planted_label_exchanges_who_said_what_and_nothing_else(
    said: list[str], reasons: bool, gold: str
) -> None:
    entry = entry_of(said, reasons=reasons)
    wrong = wrong_label(entry, gold, ["dull"], THREE)
    if entry.suggestion != gold:
        assert wrong == entry.suggestion
        assert planted(entry, wrong) == entry
        return
    if wrong is None:
        assert reasons
        assert len(set(said)) == 1
        return
    assert wrong != gold
    shown = planted(entry, wrong)
    assert shown.suggestion == shown.candidates[0].label == wrong
    assert sorted(len(one.by) for one in shown.candidates) == sorted(
        len(one.by) for one in entry.candidates
    )
    assert {n for one in shown.candidates for n in one.by} == {
        n for one in entry.candidates for n in one.by
    }
    for one in shown.candidates:
        assert all(text.startswith(one.label) for text in one.rationales)
        assert len(one.rationales) <= len(one.by)
    others = [one for one in entry.candidates if one.label not in (gold, wrong)]
    assert [one for one in shown.candidates if one.label not in (gold, wrong)] == others


@pytest.mark.parametrize("name", EVALSETS)
def test_what_is_planted_in_each_task_is_a_wrong_label(name: str, tmp_path: Path) -> None:
    project = evalset(tmp_path / "project", name)
    task, routes = project.task, route(project)
    listed = {entry.item.id: entry for entry in entries(project, routes)}
    hidden = [
        one for one in checks(project, routes.evidence, listed.values(), hide=True) if one.hidden
    ]
    assert len(hidden) > 20
    wrong = [one for one in hidden if one.wrong is not None]
    assert (len(wrong) > 10) == (task.name in PLANTABLE)
    for one in wrong:
        entry = listed[one.item_id]
        assert not task.right(one.gold, one.wrong)
        assert task.match(one.wrong, entry.item) == one.wrong
        shown = planted(entry, one.wrong)
        assert shown.suggestion == one.wrong
        assert any(candidate.label == one.wrong for candidate in shown.candidates)
        assert make_form(task).fill(shown.suggestion)


def test_what_speaks_against_a_planted_label_prevents_it() -> None:
    entry = entry_of(["glad", "glad", "angry"], reasons=False)
    assert wrong_label(entry, "glad", [], THREE) == "angry"
    named = Entry(
        entry.item, ("no promise: glad",), "glad", entry_of(["glad"], reasons=False).candidates, ()
    )
    assert wrong_label(named, "glad", ["dull"], THREE) is None
    quoted = Entry(entry.item, ("not allowed: x",), "glad", entry.candidates, ())
    assert wrong_label(quoted, "glad", ["dull"], THREE) is None
    nothing = Entry(entry.item, (), None, entry.candidates, ())
    assert wrong_label(nothing, "glad", ["dull"], THREE) is None


def test_lots_are_even() -> None:
    drawn = [lot("seed", "ada", n) for n in range(20_000)]
    assert all(0 <= one < 1 for one in drawn)
    for tenth in range(10):
        share = sum(tenth / 10 <= one < tenth / 10 + 0.1 for one in drawn) / len(drawn)
        assert abs(share - 0.1) < 4 * (0.09 / len(drawn)) ** 0.5
    assert lot("seed", "ada", 1) == drawn[1] != lot("seed", "ad", "a1")


def test_a_project_without_hidden_gold_says_what_is_not_defined(tmp_path: Path) -> None:
    project: Project = with_gold(tmp_path / "project", 12, 6)
    assert fairness(project).overall.accuracy.why.startswith("no hidden gold was decided")
    with serving(project) as site:
        Simulated(truth_of(project), 1.0, 0.0, 0).work(site.join("ada"), 4)
    found = fairness(project)
    assert found.overall.decided == found.overall.an_hour.n == 4
    for name in ("accuracy", "alone", "accepted", "chosen", "bias", "blind", "saved", "agreement"):
        estimate = getattr(found.overall, name)
        assert estimate.value is None
        assert estimate.why
