"""Public record pairs through matching: objects in columns, gold 1/0, plain rules as annotators."""

import gzip
import json
import re

import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from prelabel.api import import_annotations, score
from prelabel.project import load_project
from prelabel.prompts import load_template, render_item

TITLES = {"em_beer_test": "Beer_Name", "em_abt_buy_test": "name", "em_walmart_amazon_test": "title"}
SIZES = {
    "em_beer_test": (91, 14),
    "em_abt_buy_test": (1916, 206),
    "em_walmart_amazon_test": (2049, 193),
}


def words(text):
    return set(re.findall(r"\w+", text.casefold()))


def alike(one, other):
    """Return the share of words that two titles have in common."""
    a, b = words(one), words(other)
    return len(a & b) / len(a | b) if a | b else 0.0


def read(file):
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def matched(file, folder):
    """Make a project of the pairs, items and gold both read from the file as it is."""
    (folder / "guideline.yaml").write_text("name: g\ntask: matching\n")
    path = json.dumps(str(file))
    (folder / "prelabel.yaml").write_text(
        f"items: {{path: {path}, text: [left, right]}}\ngold: {{path: {path}, label: match}}\n"
    )
    return load_project(folder)


@pytest.mark.parametrize("name", TITLES)
def test_pairs_are_loaded_scored_and_shown(shared_data, tmp_path, name):
    file = shared_data / "text" / f"{name}.jsonl.gz"
    project = matched(file, tmp_path)
    rows, items = read(file), list(project.items())
    assert [g.label for g in project.gold] == [
        "match" if row["match"] else "no_match" for row in rows
    ]
    assert (len(items), sum(g.label == "match" for g in project.gold)) == SIZES[name]
    template = load_template("matching", "full", None)
    for row, item in zip(rows, items, strict=True):
        assert [json.loads(text) for text in item.fields.values()] == [row["left"], row["right"]]
        shown = render_item(template, item.fields, None).splitlines()
        assert len(shown) == 6 + len(row["left"]) + len(row["right"])

    title = TITLES[name]
    said = [
        {
            "id": row["id"],
            "equal": row["left"][title] == row["right"][title],
            "half": "yes" if alike(row["left"][title], row["right"][title]) >= 0.5 else "no",
            "always": 1,
        }
        for row in rows
    ]
    recorded = tmp_path / "rules.jsonl"
    recorded.write_text("".join(json.dumps(row) + "\n" for row in said))
    counts = import_annotations(project, recorded)
    assert counts == {rule: {"labeled": len(rows)} for rule in ("equal", "half", "always")}

    gold = [row["match"] for row in rows]
    given = {rule: [row[rule] in (True, "yes") for row in said] for rule in counts}
    found = {one.annotator: one.labels[0] for one in score(project).annotators}
    for rule, row in found.items():
        assert row.label == "match"
        for measure, computed in ((row.f1, f1_score), (row.recall, recall_score)):
            assert measure.value == pytest.approx(computed(gold, given[rule]))
        if row.predicted:
            assert row.precision.value == pytest.approx(precision_score(gold, given[rule]))
    assert found["half"].f1.value > found["always"].f1.value
