"""Proposals for every task, and changes of guidelines whose labels are not plain names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loop_projects import desk, rule, rule_as
from review_site import evalset

from prelabel import revise, route
from prelabel.affected import affected
from prelabel.confusions import Confusion, confusions
from prelabel.guideline import Guideline, load_guideline
from prelabel.guideline_changes import changes
from prelabel.guideline_check import check
from prelabel.guideline_edit import Entry, with_entries
from prelabel.project import load_project
from prelabel.resources import data_folder
from prelabel.rulings import decide_rulings, rulings
from prelabel.run import label as label_all
from prelabel.tasks import make_task

SETS = sorted(path.parent.name for path in data_folder("evalsets").glob("*/items.jsonl"))


@pytest.mark.parametrize("name", SETS)
def test_every_evalset_can_be_revised(tmp_path: Path, name: str) -> None:
    project = evalset(tmp_path / name, name)
    waiting = {one.item_id for one in route(project).queue}
    first = next(g for g in project.gold if g.item_id in waiting)
    label: Any = first.label
    if project.task.name == "text" and isinstance(label, list):
        label = label[0]
    rule_as(project, first.item_id, label)
    (ruling,) = rulings(project)
    decide_rulings(project, accept=[ruling.id], author="eve", reason="because")
    made = revise(project, least=1)
    assert made.path is not None
    assert [f for f in check(made.path) if f.level == "error"] == []
    new = load_guideline(made.path)
    assert new.rulings[-1].id == ruling.id
    assert new.rulings[-1].text == ruling.text
    assert made.notes == ()
    found = affected(project, project.guideline, new)
    assert first.item_id in found.items
    assert [one.reach for one in found.changes] == ["some"]


def guideline(task: str, *labels: str, **more: Any) -> Guideline:
    listed = [{"name": one, "definition": one} for one in labels]
    document = {"name": "g", "task": task, "question": "?", "labels": listed} | more
    return Guideline.model_validate(document)


def found(task: str, pairs: list[tuple[Any, Any]], **more: Any) -> list[Confusion]:
    own = make_task(guideline(task, "a", "b", "c", **more))
    said = [(f"i{k}", "x", right, given) for k, (right, given) in enumerate(pairs)]
    return confusions(said, own, "gold")


def test_confusions_by_task() -> None:
    (ab, cb) = found("classification", [("a", "b"), ("a", "b"), ("a", "a"), ("c", "b")])
    assert (ab.right, ab.given, ab.n, ab.of, ab.items) == ("a", "b", 2, 3, ("i0", "i1"))
    assert (cb.n, cb.of) == (1, 1)
    both = found("multi-label", [(["a"], ["b"]), (["a", "c"], ["a"]), ([], ["b"]), (["a"], ["a"])])
    assert [(x.right, x.given, x.n, x.of) for x in both] == [
        (None, "b", 1, 4),
        ("a", "b", 1, 3),
        ("c", None, 1, 1),
    ]
    assert [x.said for x in both] == [
        "'b' is given where it is not right",
        "'b' is given where 'a' is right",
        "'c' is left out where it is right",
    ]
    fields = [{"name": "price"}, {"name": "kind"}]
    own = make_task(guideline("extraction", fields=fields))
    right, given = {"price": "1", "kind": "x"}, {"price": "2", "kind": "x"}
    (one,) = confusions([("i", "x", right, given)], own, "gold")
    assert one.said == "'price' is given another value"
    scale = {"scale": {"min": 1, "max": 5}}
    rating = make_task(guideline("rating", **scale))
    (one,) = confusions([("i", "x", 2, 4)], rating, "gold")
    assert (one.right, one.given) == ("2", "4")


def test_changes_say_what_and_how_far() -> None:
    old = guideline("classification", "a", "b", "c", purpose="p")
    new = guideline(
        "classification", "a", "b",
        edge_cases=[{"when": "like b but odd", "then": "a"}],
        common_mistakes=[{"mistake": "Saying c for all.", "correction": "Look twice."}],
        rulings=[{"id": "R1", "text": "t", "label": "a"}],
        purpose="p",
    )  # fmt: skip
    told = {one.what: one for one in changes(old, new)}
    assert told["label 'c' removed"].labels == {"c"}
    assert told["edge case added: 'like b but odd'"].labels == {"b"}
    assert told["common mistake added: 'Saying c for all.'"].labels == {"c"}
    assert told["ruling added: R1, 't'"].texts == ("t",)
    assert {one.reach for one in told.values()} == {"some"}
    assert changes(old, old) == []
    (one,) = changes(old, old.model_copy(update={"name": "other"}))
    assert one.reach == "none"
    (one,) = changes(old, old.model_copy(update={"labels": old.labels[::-1]}))
    assert one.reach == "none"
    whole = changes(old, old.model_copy(update={"purpose": "q", "abstain": "when empty"}))
    assert [one.reach for one in whole] == ["all", "all"]


def test_a_label_that_is_gone_is_not_ruled_in(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, _):
        label_all(project)
        rule(project)
        file = tmp_path / "guideline.yaml"
        file.write_text(file.read_text().replace("name: garden", "name: plants"))
        gold = (tmp_path / "gold.jsonl").read_text().replace("garden", "plants")
        (tmp_path / "gold.jsonl").write_text(gold)
        changed = load_project(tmp_path)
        label_all(changed)
        (one,) = rulings(changed)
        assert one.label is None
        made = revise(changed)
        assert made.taken_in == ()
        assert any("has a label that the guideline lacks" in note for note in made.notes)


def test_an_entry_added_to_an_evalsets_guideline_keeps_its_text() -> None:
    for path in data_folder("evalsets").glob("*/guideline.yaml"):
        text = path.read_text(encoding="utf-8")
        made, kept = with_entries(text, {"rulings": [Entry({"id": "R", "text": "t"})]})
        assert kept, path
        assert set(text.splitlines()) <= set(made.splitlines())
