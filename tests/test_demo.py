"""The whole job end to end with the real embedded model, on the shipped evalsets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prelabel.api import route, score
from prelabel.demo import demo, verdict
from prelabel.errors import InputError
from prelabel.guideline_check import check
from prelabel.models import model_path
from prelabel.project import load_project
from prelabel.prompts import guideline_shots
from prelabel.resources import data_folder
from prelabel.run import label

EVALSETS = sorted(path.parent for path in data_folder("evalsets").glob("*/items.jsonl"))


@pytest.fixture
def embedded() -> None:
    try:
        model_path("smollm2-135m")
    except InputError as error:
        pytest.fail(f"{error} (make test fetches it)")


@pytest.mark.usefixtures("embedded")
def test_demo(tmp_path: Path) -> None:
    result = demo(
        tmp_path, evalset="reader-questions", model="local/smollm2-135m", limit=16, watch=label
    )
    assert {one.labeled + one.left_out for one in result.scores.annotators} == {
        result.scores.annotators[0].gold_n
    }
    assert all(file.stat().st_size > 200 for file in result.files)
    rows = [json.loads(line) for line in result.files[0].read_text().splitlines()]
    assert len(rows) == 200
    assert sum(row["status"] != "unlabeled" for row in rows) == 16
    assert "most frequent label" in verdict(result)[0]
    # a second run has nothing left to do, and the same rule says the same
    project = load_project(tmp_path)
    again = label(project, limit=16)
    assert (again.skipped, again.bought) == (32, 0)
    assert route(project).rule.hash == result.routes.rule.hash


@pytest.mark.usefixtures("embedded")
def test_multi_label_with_the_embedded_model(tmp_path: Path) -> None:
    evalset = data_folder("evalsets") / "hotel-aspects"
    (tmp_path / "prelabel.yaml").write_text(
        f"guideline: {evalset}/guideline.yaml\n"
        f"items: {{path: {evalset}/items.jsonl}}\ngold: {{path: {evalset}/gold.jsonl}}\n"
        "annotators:\n  - {name: small, model: local/smollm2-135m, prompt: brief,"
        " shots: {choose: diverse, k: 5}}\n"
        "decide: {aggregate: distribution, min_votes: 1}\n"
    )
    project = load_project(tmp_path)
    status = label(project, limit=10)
    assert status.outcomes == {"labeled": 10}
    report = score(project)
    names = project.guideline.label_names
    assert [row.label for row in report.corrected[0].labels] == list(names)
    for routed in list(route(project).items.values())[:10]:
        assert set(routed.consensus.label) <= set(names)


@pytest.mark.parametrize("folder", EVALSETS, ids=lambda path: path.name)
def test_evalsets_are_whole(folder: Path) -> None:
    assert check(folder / "guideline.yaml") == []
    project = load_project(folder)
    items, gold, task = list(project.items()), project.gold, project.task
    assert 50 <= len(items) <= 200
    assert {item.id for item in items} == {g.item_id for g in gold}
    texts = {"\n".join(item.fields.values()) for item in items}
    assert len(texts) == len(items)
    shown = {"\n".join(s.fields.values()) for s in guideline_shots(project.guideline, task)}
    assert shown
    assert not texts & shown
    values = {value for g in gold for value in task.votes(g.label).values()}
    declared = task.values() if task.name not in ("spans", "extraction", "hierarchical") else None
    if declared and True not in declared:
        assert values == set(declared)
    assert {g.split for g in gold} == {"calibration", "test"}
    used = project.config.annotators
    assert [a.model for a in used] == ["local/smollm2-135m"] * 2
    card = (folder / "README.md").read_text()
    assert "NOT expert" in card
    assert "Known flaws" in card
