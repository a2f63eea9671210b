"""Preselection on a public set of 77 intents: recall at 5, 10 and 20.

Casanueva et al., "Efficient Intent Detection with Dual Sentence Encoders" (NLP4ConvAI 2020). Only
the few-shot texts, from the training part, are ever fitted on.
"""

import csv
import gzip

import pytest

from prelabel.guideline import Guideline
from prelabel.preselection import Preselector, recall
from prelabel.shots import Shot
from prelabel.tasks import make_task

KS = (5, 10, 20)


def rows_of(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def banking(shared_data):
    """The task of 77 labels without definitions, the ten texts of each, and the test items."""
    folder = shared_data / "text"
    few = rows_of(folder / "banking77_fewshot10.csv.gz")
    names = dict.fromkeys(row["label"] for row in few)
    labels = [{"name": name, "definition": ""} for name in names]
    task = make_task(Guideline(name="g", task="classification", labels=labels))
    shots = [Shot({"text": row["text"]}, task.match(row["label"])) for row in few]
    test = rows_of(folder / "banking77_test.csv.gz")
    return task, shots, [(row["text"], task.match(row["label"])) for row in test]


def recalls(task, shots, items):
    found = recall(Preselector(task.guideline, shots, 20), items, KS)
    assert all(found[k].n == len(items) for k in KS)
    return [found[k].value for k in KS]


def test_recall_with_names_alone_and_with_ten_texts_a_label(banking):
    task, shots, items = banking
    assert (len(task.labels), len(shots), len(items)) == (77, 770, 3080)
    some = items[::3]  # for speed
    named, learned = recalls(task, [], some), recalls(task, shots, some)
    # of the whole test part: 0.712, 0.802, 0.879 with names, 0.929, 0.965, 0.985 with ten texts
    assert named == pytest.approx([0.712, 0.802, 0.879], abs=0.03)
    assert learned == pytest.approx([0.929, 0.965, 0.985], abs=0.02)
    assert named == sorted(named)
    assert all(few > none for none, few in zip(named, learned, strict=True))


def test_a_few_shot_text_does_not_find_itself(banking):
    task, shots, _ = banking
    items = [(shot.fields["text"], shot.label) for shot in shots]
    left_out = recalls(task, shots, items)
    foreign = [(text.rstrip("?.!") + " please", label) for text, label in items]
    leaked = recalls(task, shots, foreign)  # nearly the same text is another text
    assert leaked[0] > 0.99
    assert left_out[0] < 0.95
