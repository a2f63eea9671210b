"""PandaLM's test set: three people and two models on pairs with ties, imported and scored.

Wang et al., "PandaLM" (ICLR 2024); the kappas are those of the source's README.
"""

import gzip
import json
from collections import Counter
from statistics import mean

import pytest

from prelabel.api import agreement, import_annotations, score
from prelabel.project import load_project

PEOPLE = ["annotator1", "annotator2", "annotator3"]
MODELS = ["gpt35_result", "pandalm7b_result"]


def compared(file, folder, *ties):
    """Make a project of the pairs whose gold is most people's word; ``ties`` are spellings of a tie."""
    spellings = {"A": ["1"], "B": ["2"], "tie": ["0", *ties]}
    labels = [{"name": n, "definition": "d", "aliases": a} for n, a in spellings.items()]
    guideline = {"name": "g", "task": "pairwise", "tie": "both are as good", "labels": labels}
    (folder / "guideline.yaml").write_text(json.dumps(guideline))
    texts = "[instruction, input, response1, response2]"
    (folder / "prelabel.yaml").write_text(
        f"items: {{path: {json.dumps(str(file))}, id: idx, text: {texts}}}\n"
        "gold: {path: gold.jsonl}\n"
    )
    with (
        gzip.open(file, "rt", encoding="utf-8") as lines,
        (folder / "gold.jsonl").open("w") as gold,
    ):
        for row in map(json.loads, lines):
            ((label, votes),) = Counter(row[name] for name in PEOPLE).most_common(1)
            assert votes >= 2
            gold.write(json.dumps({"id": row["idx"], "label": label}) + "\n")
    return load_project(folder)


@pytest.fixture
def file(shared_data):
    return shared_data / "llm_vs_human" / "pandalm" / "pandalm_testset.jsonl.gz"


def test_three_people_agree_as_published(file, tmp_path):
    project = compared(file, tmp_path)
    assert Counter(g.label for g in project.gold) == {"tie": 105, "A": 422, "B": 472}
    counts = import_annotations(project, file, kind="person", item="idx", annotators=PEOPLE)
    assert counts == {name: {"labeled": 999} for name in PEOPLE}
    pairs = agreement(project).pairs
    assert [round(pair.kappa.value, 2) for pair in pairs] == [0.85, 0.88, 0.86]


def scores_of(project):
    """Return accuracy and the means over labels of precision, recall and F1, by annotator."""
    return {
        found.annotator: (
            found.accuracy.value,
            *(
                mean(getattr(row, name).value for row in found.labels)
                for name in ("precision", "recall", "f1")
            ),
        )
        for found in score(project).annotators
    }


def test_models_score_as_stated_with_every_unclear_word_read_as_a_tie(file, tmp_path):
    project = compared(file, tmp_path, "garbage")
    import_annotations(project, file, item="idx", annotators=MODELS)
    found = scores_of(project)
    assert found["gpt35_result"] == pytest.approx((0.7107, 0.5879, 0.5736, 0.5755), abs=5e-5)
    assert found["pandalm7b_result"] == pytest.approx((0.6677, 0.5738, 0.5750, 0.5743), abs=5e-5)


def test_garbage_is_a_failure_and_no_tie(file, tmp_path):
    project = compared(file, tmp_path)
    counts = import_annotations(project, file, item="idx", annotators=MODELS, unusable=["garbage"])
    assert counts["gpt35_result"] == {"labeled": 974, "unparsable": 25}
    assert counts["pandalm7b_result"] == {"labeled": 999}
    found = next(s for s in score(project).annotators if s.annotator == "gpt35_result")
    assert (found.labeled, found.failed) == (974, {"unparsable": 25})
    # unmarked, it is off the list, and nothing else changes
    again = import_annotations(project, file, item="idx", annotators=MODELS)
    assert again["gpt35_result"] == {"labeled": 974, "off_list": 25}
    unmarked = next(s for s in score(project).annotators if s.annotator == "gpt35_result")
    assert (unmarked.accuracy, unmarked.failed) == (found.accuracy, {"off_list": 25})
