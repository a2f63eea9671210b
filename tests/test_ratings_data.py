"""Ratings of published data: figures that others printed, and answers off the scale."""

import csv
import gzip
import json
import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score

from prelabel.coefficients import krippendorff_alpha
from prelabel.guideline import Guideline
from prelabel.ordinal import median_value
from prelabel.tasks import OffListError, make_task


def rating(**scale):
    text = {name: str(value) for name, value in scale.items()}
    return make_task(Guideline.model_validate({"name": "g", "task": "rating", "scale": text}))


def rows_of(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def counts_of(values, *items):
    """Count how often each item got each value: items x values."""
    counts = np.zeros((len(items), len(values)), dtype=int)
    for at, given in enumerate(items):
        for value in given:
            counts[at, values.index(value)] += 1
    return counts


# Grades 0-3 of 33 annotators (LLMJudge)


@pytest.fixture
def judged(shared_data):
    """By annotator, the grade of each item, or None where it is off the scale."""
    task = rating(min=0, max=3)
    rows = list(rows_of(shared_data / "llm_vs_human/llmjudge/labels.csv.gz"))

    def grade(cell):
        try:
            return task.match(cell)
        except OffListError:
            return None

    names = [name for name in rows[0] if name not in ("query", "passage")]
    return task, {name: [grade(row[name]) for row in rows] for name in names}


def test_grades_off_the_scale_are_counted_failures(judged):
    _, grades = judged
    assert len(grades) == 34  # a person and 33 models
    assert {len(column) for column in grades.values()} == {4423}
    failed = {name: column.count(None) for name, column in grades.items() if None in column}
    assert failed == {"RMITIR-llama70B": 2, "h2oloo-zeroshot2": 1}
    assert all(type(g) is int for column in grades.values() for g in column if g is not None)


def of_both(grades, name, binary=None):
    """Return gold and given, of the items that have both; 0 and 1 from grade ``binary`` on."""
    pairs = [(a, b) for a, b in zip(grades["human"], grades[name], strict=True) if b is not None]
    if binary is not None:
        pairs = [(int(a >= binary), int(b >= binary)) for a, b in pairs]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_published_kappas(judged):
    """Cohen's kappa is weighted kappa of two values; on four grades it is nominal."""
    _, grades = judged
    published = {
        "willia-umbrela1": 0.2863,
        "Olz-gpt4o": 0.2625,
        "TREMA-4prompts": 0.1829,
        "prophet-setting2": 0.1757,
    }
    assert {
        name: round(cohen_kappa_score(*of_both(grades, name)), 4) for name in published
    } == published
    two = rating(min=0, max=1)
    best = {1: ("Olz-gpt4o", 0.4228), 2: ("h2oloo-fewself", 0.4280), 3: ("willia-umbrela3", 0.3215)}
    for start, (name, value) in best.items():
        found = two.measure(*of_both(grades, name, start)).metrics["quadratic_kappa"]
        assert round(found.value, 4) == value
        assert found.low < found.value < found.high


def test_measures_of_all_annotators(judged):
    task, grades = judged
    for name in grades:
        gold, given = of_both(grades, name)
        found = task.measure(gold, given).metrics
        assert found["quadratic_kappa"].value == pytest.approx(
            cohen_kappa_score(gold, given, weights="quadratic")
        )
        assert found["spearman"].value == pytest.approx(spearmanr(gold, given).statistic)
        assert found["mae"].n == len(gold) == 4423 - grades[name].count(None)


def test_published_alpha(judged):
    task, grades = judged
    counts = counts_of(task.values(), *zip(*of_both(grades, "willia-umbrela1"), strict=True))
    assert round(krippendorff_alpha(counts, "ordinal"), 4) == 0.4918
    assert round(krippendorff_alpha(counts), 4) == 0.2840


def test_the_median_of_all_models_is_a_grade(judged):
    task, grades = judged
    models = [column for name, column in grades.items() if name != "human"]
    medians = []
    for given in zip(*models, strict=True):
        labeled = [grade for grade in given if grade is not None]
        found = median_value(labeled, task.values())
        assert found in labeled
        assert abs(found - np.median(labeled)) <= 0.5
        medians.append(found)
    found = task.measure(grades["human"], medians).metrics["quadratic_kappa"]
    alone = [
        task.measure(*of_both(grades, name)).metrics["quadratic_kappa"].value
        for name in grades
        if name != "human"
    ]
    assert found.value > np.median(alone)  # many together do better than one of them does


# Ratings 1-5 of people and of models (latent content analysis)


@pytest.mark.parametrize(("kind", "alpha"), [("human", 0.665104), ("llm", 0.847162)])
def test_published_interval_alphas(shared_data, kind, alpha):
    task = rating(min=1, max=5, level="interval")
    items = {}
    rows = list(rows_of(shared_data / "llm_vs_human/latent_content/ratings.csv.gz"))
    assert kind in {row["kind"] for row in rows}
    for row in rows:
        if row["kind"] == kind:
            items.setdefault(row["item"], []).append(task.match(row["rating"]))
    counts = counts_of(task.values(), *items.values())
    assert round(krippendorff_alpha(counts, task.level, task.values()), 6) == alpha


# Scores of people (JUDGE-BENCH)

PUBLISHED = {
    "newsroom": (5, {"Informativeness": 0.2849, "Relevance": 0.1151, "Coherence": 0.0650, "Fluency": -0.0158}),
    "recipe": (6, {"grammar": 0.4151, "fluency": 0.4324, "verbosity": 0.3991, "structure": 0.3986,
                   "success": 0.3627, "overall": 0.4351}),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_ordinal_alphas(shared_data, name):
    highest, published = PUBLISHED[name]
    task = rating(min=1, max=highest)
    scores = {}
    path = shared_data / f"llm_vs_human/judge_bench/{name}.scores.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            given = [s for s in row["scores"] if s is not None and not math.isnan(s)]
            scores.setdefault(row["metric"], []).append([task.match(s) for s in given])
    assert {
        metric: round(krippendorff_alpha(counts_of(task.values(), *items), task.level), 4)
        for metric, items in scores.items()
    } == published


# Similarity of sentences, 0-5 without steps (STS 2016)


def test_simple_annotators_of_an_open_scale(shared_data):
    task = rating(min=0, max=5, step="none", level="interval")
    rows = list(rows_of(shared_data / "text/sts2016_test.csv.gz"))
    gold = [task.match(row["score"]) for row in rows]
    assert len(gold) == 1186
    assert all(type(value) is float for value in gold)

    def by_words(row):
        a, b = (set(row[side].casefold().split()) for side in ("sentence1", "sentence2"))
        return 5 * len(a & b) / len(a | b)

    def by_length(row):
        a, b = sorted(len(row[side]) for side in ("sentence1", "sentence2"))
        return 5 * a / b

    columns = [[task.match(rate(row)) for row in rows] for rate in (by_words, by_length)]
    found = [task.measure(gold, column).metrics for column in columns]
    for column, metrics in zip(columns, found, strict=True):
        assert metrics["spearman"].value == pytest.approx(spearmanr(gold, column).statistic)
        assert metrics["spearman"].low < metrics["spearman"].value < metrics["spearman"].high
        assert metrics["mae"].value == pytest.approx(np.abs(np.subtract(gold, column)).mean())
        assert metrics["quadratic_kappa"].value is None
    assert found[0]["spearman"].value > found[1]["spearman"].value > 0
    middle = [median_value(list(pair), task.values()) for pair in zip(*columns, strict=True)]
    assert pearsonr(middle, np.mean(columns, axis=0)).statistic == pytest.approx(1)
