"""Published figures of entity F1, and spans of other hands through match and ground."""

import csv
import gzip
import json
from itertools import pairwise

import pytest

from prelabel.exchange.iob import tags_of_spans
from prelabel.guideline import Guideline
from prelabel.records import Item
from prelabel.span_scores import cluster, entity_scores, keys, pairwise_f1, unitizing_alpha
from prelabel.tasks import make_task

PUBLISHED = {
    "Arcada": 39.98,
    "Drexel-CCI": 26.30,
    "FLYTXT": 38.35,
    "MIC-CIS": 37.06,
    "SJTU-Adapt": 40.42,
    "SpinningBytes": 40.78,
    "UH-RiTUAL": 41.86,
}
"""Entity F1 in percent of the seven systems (Derczynski et al., W-NUT 2017)."""

TYPES = ("person", "location", "group", "creative-work", "corporation", "product")


def task_of(labels, **settings):
    names = [{"name": name, "definition": "d"} for name in labels]
    return make_task(
        Guideline.model_validate({"name": "g", "task": "spans", "labels": names} | settings)
    )


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def wnut(shared_data):
    """The task, the items, gold's labels, and each system's."""
    task, rows = task_of(TYPES), lines(shared_data / "text/wnut17_test_with_systems.jsonl.gz")
    items = [
        Item(str(row["id"]), {"text": " ".join(row["tokens"])}, {"tokens": row["tokens"]})
        for row in rows
    ]

    def labels(column):
        return [task.match(row[column], item) for row, item in zip(rows, items, strict=True)]

    return task, items, labels("gold"), {name: labels(name) for name in PUBLISHED}


def consensus(task, labels, need, prepare):
    """The spans that at least ``need`` annotators marked, item by item."""
    found = []
    for of_item in zip(*labels.values(), strict=True):
        votes = {name: task.votes(x) for name, x in zip(labels, of_item, strict=True)}
        votes = prepare(votes)
        units = next(iter(votes.values()))
        marks = {unit: sum(mine[unit] for mine in votes.values()) >= need for unit in units}
        found.append(task.from_votes(marks))
    return found


def test_seven_systems_get_their_published_f1(wnut):
    task, _, gold, systems = wnut
    assert sum(map(len, gold)) == 1079
    for name, labels in systems.items():
        metrics = task.measure(gold, labels).metrics
        assert round(100 * metrics["exact_f1"].value, 2) == PUBLISHED[name], name
        assert metrics["exact_f1"].value < metrics["partial_f1"].value < metrics["type_f1"].value


def test_the_systems_together(wnut):
    task, _, gold, systems = wnut
    for prepare in (task.align, cluster):
        by_need = [
            entity_scores(gold, consensus(task, systems, need, prepare), TYPES).metrics
            for need in range(1, 8)
        ]
        precision = [metrics["exact_precision"].value for metrics in by_need]
        recall = [metrics["exact_recall"].value for metrics in by_need]
        assert precision == sorted(precision), "more votes are more precise"
        assert recall == sorted(recall, reverse=True), "and find less"
        best = max(PUBLISHED.values()) / 100
        assert by_need[3]["exact_f1"].value > best, "a majority of seven beats the best of them"


def test_a_majority_of_clusters_holds_no_overlap(wnut):
    task, _, _, systems = wnut
    for prepare in (task.align, cluster):
        for label in consensus(task, systems, 4, prepare):
            for a, b in pairwise(label):
                assert a["end"] <= b["start"]


def test_agreement_of_the_systems(wnut):
    _, items, gold, systems = wnut
    f1 = pairwise_f1([gold, systems["UH-RiTUAL"]])
    assert round(100 * f1.value, 2) == PUBLISHED["UH-RiTUAL"], "F1 has no direction"
    lengths = [len(item.fields["text"]) for item in items]
    assert unitizing_alpha([gold, gold], lengths).value == 1.0
    assert 0 < unitizing_alpha(list(systems.values()), lengths).value < 1


def test_tags_are_written_as_they_were(wnut):
    _, items, gold, _ = wnut
    for item, label in zip(items, gold, strict=True):
        triples = sorted(keys(label))
        tags, misfits = tags_of_spans(item.meta["tokens"], triples)
        assert misfits == []
        assert sum(tag.startswith("B-") for tag in tags) == len(label)


def found_again(task, items, labels, *, hints):
    """The spans that reading the answer to a label gives, and how many of them are the label's."""
    model = task.response_model(rationale=False)
    same = total = 0
    for item, label in zip(items, labels, strict=True):
        answer = task.answer(label, item if hints else None)
        reading = task.read(model.model_validate(answer), item)
        assert reading.extras == {}
        same += len(keys(reading.label) & keys(label))
        total += len(label)
    return same / total


def test_gold_is_grounded_again(wnut):
    task, items, gold, systems = wnut
    for labels in (gold, systems["SpinningBytes"]):
        assert found_again(task, items, labels, hints=True) == 1.0
        assert found_again(task, items, labels, hints=False) > 0.99


def test_slots_of_restaurant_bookings(shared_data):
    rows = lines(shared_data / "text/restaurant8k_test1500.jsonl.gz")
    slots = ("time", "date", "people", "first_name", "last_name")
    task = task_of(slots, overlap=True)  # "8:45 tonight" is a time, "tonight" a date
    items = [Item(str(row["id"]), {"text": row["text"]}) for row in rows]
    labels = [
        task.match([[s.get("start", 0), s["end"], s["slot"]] for s in row["spans"]], item)
        for row, item in zip(rows, items, strict=True)
    ]
    assert sum(map(len, labels)) == sum(len(row["spans"]) for row in rows)
    assert found_again(task, items, labels, hints=True) == 1.0
    assert found_again(task, items, labels, hints=False) > 0.99


def test_pledges_marked_by_people_and_llms(shared_data):
    folder = shared_data / "llm_vs_human/pledge"
    with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
        texts = {row["text_id"]: row["text"] for row in csv.DictReader(file) if row["set"] == "1"}
    task = task_of(["pledge"])
    with (folder / "spans_group1.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        item = Item("1", {"text": texts[str(row["text_id"])]})
        for spot in task.match([[*pair, "pledge"] for pair in row["spans"]], item):
            (again,) = task.match([{"text": spot["text"], "label": "pledge"}], item)
            # white space at the ends of a span is not kept
            assert again["text"] == spot["text"].strip()
            assert spot["start"] <= again["start"] < again["end"] <= spot["end"]
