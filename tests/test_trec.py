"""A public label set of two levels: question types, 6 coarse and 50 fine (Li and Roth 2002)."""

import csv
import gzip
from collections import Counter

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from prelabel.guideline import Guideline
from prelabel.tasks import OffListError, make_task

FINE = {
    "ABBR": "abb exp",
    "DESC": "def desc manner reason",
    "ENTY": "animal body color cremat currency dismed event food instru lang letter other plant "
    "product religion sport substance symbol techmeth termeq veh word",
    "HUM": "gr ind title desc",
    "LOC": "city country mount other state",
    "NUM": "code count date dist money ord other period perc speed temp volsize weight",
}


@pytest.fixture(scope="module")
def task():
    def label(name, below=()):
        return {"name": name, "definition": name, "labels": [label(fine) for fine in below]}

    labels = [label(coarse, fine.split()) for coarse, fine in FINE.items()]
    return make_task(Guideline(name="g", task="hierarchical", labels=labels))


@pytest.fixture
def trec(shared_data, task):
    """Texts and gold paths of the training and the test part."""

    def read(name):
        with gzip.open(shared_data / "text" / name, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        texts = [row["text"] for row in rows]
        return texts, [task.match(row["fine"].replace(":", " > ")) for row in rows]

    return read("trec_train1000.csv.gz"), read("trec_test.csv.gz")


def neighbours(trec, k):
    """Label the test part by the ``k`` most similar training texts."""
    (texts, gold), (asked, _) = trec
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    near = KNeighborsClassifier(k, metric="cosine", weights="distance")
    near.fit(vectorizer.fit_transform(texts), [" > ".join(path) for path in gold])
    return near.predict(vectorizer.transform(asked)).tolist()


def test_every_gold_cell_is_a_path_of_the_tree(trec, task):
    (_, train), (texts, test) = trec
    assert (len(train), len(test), len(task.leaves)) == (1000, 500, 50)
    assert all(len(path) == 2 and task.match(path) == path for path in train + test)
    assert Counter(path[0] for path in test)["NUM"] == 113
    for raw in ("NUM", "desc", "other", "NUM:dist", "NUM > city", texts[0]):
        with pytest.raises(OffListError):  # an inner label, two that several have, and no paths
            task.match(raw)
    assert task.match("dist") == ["NUM", "dist"]


def test_an_annotator_is_scored_at_both_levels(trec, task):
    gold = trec[1][1]
    given = [task.match(answer) for answer in neighbours(trec, 5)]
    found = task.measure(gold, given)
    metrics = {name: estimate.value for name, estimate in found.metrics.items()}
    for k in (1, 2):
        ours, theirs = ([" > ".join(path[:k]) for path in paths] for paths in (gold, given))
        right = sum(g == p for g, p in zip(ours, theirs, strict=True))
        assert metrics[f"level_{k}_accuracy"] == pytest.approx(right / 500)
        expected = f1_score(ours, theirs, average="macro")
        assert metrics[f"level_{k}_macro_f1"] == pytest.approx(expected)
    assert metrics["level_2_accuracy"] == pytest.approx(sum(found.right) / 500)
    assert 0.5 < metrics["level_2_accuracy"] < metrics["level_1_accuracy"] < 0.9
    for name, estimate in found.metrics.items():
        assert estimate.low < metrics[name] < estimate.high
    rows = {row.label: row for row in found.labels}
    for coarse, fine in FINE.items():
        below = [rows[f"{coarse} > {name}"] for name in fine.split()]
        assert rows[coarse].support == sum(row.support for row in below)
        assert rows[coarse].predicted == sum(row.predicted for row in below)
        assert rows[coarse].hits >= sum(row.hits for row in below)


def test_overlap_is_higher_than_equal_paths(trec, task):
    given = [[task.match(answer) for answer in neighbours(trec, k)] for k in (1, 15)]
    both = [task.overlap(a, b) for a, b in zip(*given, strict=True)]
    share = sum(same for same, _ in both) / sum(levels for _, levels in both)
    equal = sum(a == b for a, b in zip(*given, strict=True)) / 500
    top = sum(a[0] == b[0] for a, b in zip(*given, strict=True)) / 500
    assert equal < share < top
    assert share == pytest.approx((equal + top) / 2)  # every path has two levels


def test_a_vote_of_each_level_is_a_path_or_stops_above(trec, task):
    answers = [neighbours(trec, k) for k in (1, 5, 15)]
    partial = 0
    for each in zip(*answers, strict=True):
        votes = [task.votes(task.match(answer)) for answer in each]
        most = {
            unit: Counter(vote[unit] for vote in votes).most_common(1)[0] for unit in task.units()
        }
        path = task.from_votes({unit: value for unit, (value, n) in most.items() if n > 1})
        coarse = most["1"]
        assert (path is None) == (coarse[1] == 1)
        if path is not None and len(path) == 1:
            partial += 1
            with pytest.raises(OffListError, match="choose one below it"):
                task.match(path)
        elif path:
            assert " > ".join(path) == most["2"][0]
    assert 0 < partial < 50  # two agree on the coarse type, none on the fine one
