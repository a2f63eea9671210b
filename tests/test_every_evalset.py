"""Every command's function on every shipped evalset, with recorded annotators."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prelabel import api
from prelabel.exchange.tables import read_rows
from prelabel.project import Project, load_project
from prelabel.reporting import report
from prelabel.resources import data_folder

EVALSETS = sorted(path.parent for path in data_folder("evalsets").glob("*/items.jsonl"))


@pytest.fixture(params=EVALSETS, ids=lambda path: path.name)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """Copy an evalset; annotator ``right`` says gold, ``other`` the label of another item."""
    folder = tmp_path / "project"
    shutil.copytree(request.param, folder)
    made = load_project(folder)
    rows = []
    for n, gold in enumerate(made.gold):
        other = made.gold[n - n % 3].label  # every third item's label is right
        if made.task.needs_item and n % 3:
            other = gold.label[1:]  # all but the first
        rows += [
            {"id": gold.item_id, "annotator": "right", "label": gold.label},
            {"id": gold.item_id, "annotator": "other", "label": other},
        ]
    table = tmp_path / "said.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = api.import_annotations(made, table, layout="long")
    assert counts == {name: {"labeled": len(made.gold)} for name in ("right", "other")}
    return made


def test_the_whole_way_with_recorded_labels(project: Project, tmp_path: Path) -> None:
    scores = api.score(project)
    other, right = scores.annotators
    assert (right.annotator, right.accuracy.value) == ("right", 1.0)
    assert 0 < other.accuracy.value < 1
    assert all(e.value is not None or e.why for e in right.metrics.values())
    assert json.loads(json.dumps(scores.to_dict(), default=str))["gold"] == scores.gold
    agreed = api.agreement(project)
    assert (agreed.n_items, agreed.n_annotators) == (len(project.gold), 2)
    main = agreed.overlap or agreed.alpha
    assert main.value < 1
    routes = api.route(project)
    assert routes.accepted
    assert routes.queue
    gold = {g.item_id: g.label for g in project.gold}
    said = [(gold[r.item_id], r.consensus.label) for r in routes.accepted]
    assert all(
        project.task.right(*pair) for pair in said
    )  # both annotators agree on it, and one is always right
    for name in ("labels.jsonl", "labels.csv", "labels.parquet"):
        path = tmp_path / name
        assert api.export(project, path) == len(project.gold)
        assert sum(1 for _ in read_rows(path)) == len(project.gold)
    assert api.export(project, tmp_path / "tasks.json", format="label-studio") == len(project.gold)
    assert len(json.loads((tmp_path / "tasks.json").read_text())) == len(project.gold)
    page = report(project, tmp_path / "report.html").read_text()
    assert routes.queue[0].item_id in page
    rule = api.fit(project).path
    assert api.route(project, rule=rule).items == routes.items
