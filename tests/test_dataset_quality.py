"""The figures of the whole dataset: prevalence, and the error before and after review."""

import json
import random

import pytest
from audit_projects import fill, noisy, project_of
from every_task import task_of

from prelabel.audited_errors import audit_error
from prelabel.auditing_accepted import audit
from prelabel.dataset_quality import declared_units, prevalence, quality, read_reviewer
from prelabel.errors import InputError
from prelabel.project import load_project
from prelabel.tasks import TASKS


def drawn_gold(truth, n, seed=3):
    return random.Random(seed).sample(list(truth), n)


def test_prevalence_corrects_what_the_consensus_gets_wrong(tmp_path):
    rng = random.Random(8)
    truth = {f"i{n}": "a" if rng.random() < 0.5 else "b" for n in range(900)}
    said = {
        item: "c" if label == "a" and rng.random() < 0.3 else label for item, label in truth.items()
    }
    project = project_of(tmp_path, truth, {"x": said, "y": said}, gold=drawn_gold(truth, 200))
    found = prevalence(project)
    assert (found.items, found.gold, found.mean) == (900, 200, None)
    a, c = found.labels["a"], found.labels["c"]
    true = sum(label == "a" for label in truth.values()) / 900
    assert a.method == c.method == "ppi++"
    assert a.labels < true - 0.1
    assert a.estimate.low < true < a.estimate.high
    assert c.labels > 0.1
    assert c.estimate.low <= 0.001
    assert found.labels["b"].method == "gold alone"  # labels never differ from gold there
    assert "gold is taken to be a random part of the items" in found.notes
    assert json.loads(json.dumps(found.to_dict()))["labels"]["a"]["estimate"]["n"] == 200


def test_prevalence_of_label_sets_and_ratings(tmp_path):
    truth = {f"i{n}": ["a", "b"] if n % 2 else ["c"] for n in range(60)}
    project = project_of(
        tmp_path, truth, {"x": truth, "y": truth}, gold=list(truth)[:20], task="multi-label"
    )
    found = prevalence(project)
    assert {name: one.estimate.value for name, one in found.labels.items()} == {
        "a": 0.5,
        "b": 0.5,
        "c": 0.5,
    }
    (tmp_path / "r").mkdir()
    rated = {f"i{n}": n % 5 + 1 for n in range(50)}
    project = project_of(
        tmp_path / "r",
        rated,
        {"x": rated, "y": rated},
        gold=list(rated)[:20],
        task="rating",
        labels=None,
        scale={"min": 1, "max": 5, "anchors": {1: "bad", 5: "good"}},
    )
    (tmp_path / "r" / "prelabel.yaml").write_text(
        "items: {path: items.jsonl}\ngold: {path: gold.jsonl}\n"
    )
    found = prevalence(load_project(tmp_path / "r"))
    assert found.mean.estimate.value == pytest.approx(3)
    assert list(found.labels) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_declares_labels_or_none(name):
    found = declared_units(task_of(name))
    assert bool(found) == (name not in ("spans", "relations", "text"))
    assert len({one[0] for one in found}) == len(found)


def test_without_gold(tmp_path):
    project = project_of(tmp_path, *noisy(30))
    with pytest.raises(InputError, match="no gold to estimate with"):
        prevalence(project)
    with pytest.raises(InputError, match="no gold to estimate with"):
        quality(project)


def test_quality_before_and_after_review(tmp_path):
    truth, said = noisy(600, wrong=0.05, split=0)
    waiting = list(truth)[:200]  # on these all three differ, and a tie goes to review
    for item in waiting:
        for name, label in zip("xyz", "abc", strict=True):
            said[name][item] = label
    project = project_of(tmp_path, truth, said, gold=drawn_gold(truth, 240))
    found = quality(project)
    bad = sum(said["x"][item] != truth[item] for item in list(truth)[200:]) / 400
    assert (found.items, found.accepted, found.review) == (600, 400, 200)
    assert found.accepted_error.low <= bad <= found.accepted_error.high
    assert found.source == "gold"
    assert found.after.value == pytest.approx(found.accepted_error.value * 400 / 600)
    assert found.after.low <= bad * 400 / 600 <= found.after.high
    if found.unlabeled == 200:
        assert found.before.value == pytest.approx(found.accepted_error.value)
    else:
        assert found.before.value > found.after.value
    known = quality(project, reviewer_error=0.06)
    assert known.after.value == pytest.approx(found.after.value + 0.06 / 3)
    measured = quality(project, reviewer_error=(3, 50))
    assert measured.after.value == pytest.approx(known.after.value)
    assert measured.after.high - measured.after.low > known.after.high - known.after.low
    assert any("always right" in note for note in found.notes)
    assert not any("always right" in note for note in known.notes)


def test_quality_prefers_the_audit_of_the_rule(tmp_path):
    truth, said = noisy(300)
    project = project_of(tmp_path, truth, said, gold=drawn_gold(truth, 60))
    assert quality(project).source == "gold"
    audit(project, tmp_path / "s.csv", n=100)
    assert quality(project).source == "gold"
    fill(tmp_path / "s.csv", truth)
    found = audit_error(project, tmp_path / "s.csv")
    after = quality(project)
    assert (after.source, after.accepted_error) == ("audit", found.error)
    assert after.after.value == pytest.approx(found.error.value)


def test_reviewers_errors():
    assert read_reviewer("0.02") == 0.02
    assert read_reviewer("3/150") == (3, 150)
    for text in ("x", "3/", "/4", ""):
        with pytest.raises(InputError, match=r"give a share such as 0\.02, or wrong/checked"):
            read_reviewer(text)


@pytest.mark.parametrize("error", [-0.1, 2, (3, 2), (0, 0), float("nan")])
def test_reviewers_errors_that_make_no_sense(tmp_path, error):
    truth, said = noisy(30)
    project = project_of(tmp_path, truth, said, gold=list(truth)[:10])
    with pytest.raises(InputError, match="reviewer error"):
        quality(project, reviewer_error=error)
