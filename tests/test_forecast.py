"""forecast(): what a pilot foresees, whether it comes so, and what cannot be foreseen."""

import json

import numpy as np
import pytest
from facts import Facts
from typer.testing import CliRunner

from prelabel import api, forecast
from prelabel.cli import app
from prelabel.errors import InputError
from prelabel.estimate import Estimate
from prelabel.fitting import fit_rule
from prelabel.forecasting import _together, labeling_left, scaled
from prelabel.project import load_project


def pilot(folder, items=300, gold=120, labeled=300, seed=0, decide="", drawn=""):
    """Return a project whose annotators are wrong where they disagree, and the true labels."""
    rng = np.random.default_rng(seed)
    truth = {f"i{n}": str(rng.choice(["a", "b", "c"])) for n in range(items)}
    settings = f"gold: {{path: gold.jsonl}}\ndecide: {{{decide}}}\n"
    facts = Facts(folder, items=0, settings=settings)
    facts.texts = {item: f"text {item}" for item in truth}
    facts.write()
    order = list(truth)
    picked = rng.choice(order[:labeled], gold, replace=False).tolist()
    rows = [json.dumps({"id": i, "label": truth[i], "drawn": drawn}) for i in picked]
    (folder / "gold.jsonl").write_text("\n".join(rows))
    said = []
    for item in order[:labeled]:
        errs = rng.random() < 0.3
        row = {"id": item}
        for name in "xyz":
            row[name] = str(rng.choice(["a", "b", "c"])) if errs else truth[item]
        said.append(json.dumps(row))
    (folder / "said.jsonl").write_text("\n".join(said))
    api.import_annotations(facts.project, folder / "said.jsonl")
    return facts.project, truth


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return pilot(tmp_path_factory.mktemp("pilot"), items=400)[0]


@pytest.fixture(scope="module")
def found(project):
    return forecast(
        project,
        targets=(0.02, 0.1),
        promise="dataset",
        gold=[120, 300],
        review_cost=0.5,
        review_minutes=2,
    )


def test_each_target_and_number_of_gold_has_a_row(found):
    rows = [(row.forecast.gold, row.forecast.target) for row in found.rows]
    assert rows == [(120, 0.02), (120, 0.1), (300, 0.02), (300, 0.1)]
    assert (found.items, found.labeled, found.pilot, found.tested) == (400, 300, 120, 120)
    assert (found.kind, found.delta) == ("dataset", 0.1)
    assert 0 < found.wrong < 40


def test_reviews_are_those_of_all_items_and_cost_with_the_gold(found):
    for row in found.rows:
        told = row.forecast.coverage
        assert row.reviews.value == pytest.approx(400 * (1 - told.value))
        assert row.reviews.low == pytest.approx(400 * (1 - told.high))
        more = row.forecast.gold - 120
        assert row.more_gold == more
        assert row.review_dollars.value == pytest.approx(0.5 * (row.reviews.value + more))
        assert row.review_hours.value == pytest.approx((row.reviews.value + more) / 30)
        assert row.dollars.value is None  # what x, y and z cost is not recorded
        assert row.dollars.why == "a price is unknown"


def test_the_rest_is_still_to_be_labeled(found):
    assert [(left.annotator, left.items) for left in found.labeling] == [
        (name, 100) for name in "xyz"
    ]


def test_more_gold_and_a_higher_target_accept_more(found):
    told = {(row.forecast.gold, row.forecast.target): row.forecast for row in found.rows}
    assert told[300, 0.1].coverage.value >= told[120, 0.1].coverage.value
    assert told[300, 0.1].coverage.value > told[300, 0.02].coverage.value


def test_targets_and_gold_have_defaults(project):
    rows = forecast(project).rows
    assert [row.forecast.target for row in rows[:4]] == [0.01, 0.02, 0.05, 0.1]
    assert [row.forecast.gold for row in rows[::4]] == [120, 240, 400]  # no more than items
    assert rows[0].forecast.kind == "selective"
    assert rows[0].review_hours.why == "no cost of a review was given"


def test_the_range_holds_what_other_gold_comes_to(tmp_path):
    """That it does 9 times of 10 is for benchmarks/forecast.py: a rule takes its time to fit."""
    inside = []
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        own, truth = pilot(tmp_path / str(seed), items=300, gold=100, seed=seed)
        told = forecast(own, targets=(0.05, 0.12), promise="dataset", gold=[100])
        picked = np.random.default_rng(seed + 100).choice(sorted(truth), 100, replace=False)
        rows = [json.dumps({"id": item, "label": truth[item]}) for item in picked.tolist()]
        (own.folder / "gold.jsonl").write_text("\n".join(rows))
        for row in told.rows:
            now = load_project(own.folder)
            rule = api.fit(now, promise="dataset", target=row.forecast.target).rule
            came, told_of = rule.promises[""].coverage.value, row.forecast.coverage
            inside.append(told_of.low - 0.03 <= came <= told_of.high + 0.03)
    assert sum(inside) >= 5


def test_forecasts_are_plain_json_and_on_screen(project, found):
    json.dumps(found.to_dict(), allow_nan=False)
    run = CliRunner().invoke
    options = ["forecast", "-p", str(project.folder), "--promise", "dataset", "--target", "0.1"]
    options += ["--gold", "120", "--review-cost", "0.5", "--review-minutes", "2"]
    text = " ".join(run(app, options).output.split())
    assert "dataset promise, delta 0.1: a pilot of 120 gold items" in text
    assert "300 of 400 items are labeled" in text
    told = json.loads(run(app, [*options, "--json"]).output)
    assert told["rows"][0]["forecast"]["coverage"] == pytest.approx(
        found.to_dict()["rows"][1]["forecast"]["coverage"]
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"targets": [1.5]}, "target must be between 0 and 1"),
        ({"delta": 0}, "decide: delta: "),
        ({"promise": "sure"}, "decide: promise: "),
        ({"gold": [0]}, "planned gold must be 1 or more items, got 0"),
        ({"gold": [500]}, "500 gold items planned, and there are 400 items"),
        ({"review_cost": -1}, "review cost: must be 0 or more, got -1"),
        ({"review_minutes": float("nan")}, "review minutes: must be 0 or more, got nan"),
        ({"annotators": ["v"]}, "annotator 'v' has no annotations"),
    ],
)
def test_what_cannot_be_foreseen(project, settings, said):
    with pytest.raises(InputError) as caught:
        forecast(project, **settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_gold_there_is_no_pilot(tmp_path):
    facts = Facts(tmp_path)
    facts.say_all("i0", "a", "a")
    with pytest.raises(InputError, match="no gold to forecast from"):
        forecast(facts.project)


def test_a_pilot_of_29_is_too_small(tmp_path):
    project, _ = pilot(tmp_path, items=60, labeled=60, gold=29)
    with pytest.raises(
        InputError, match=r"a pilot of 2\d scored gold items is too small to plan on"
    ):
        forecast(project)


def test_a_pilot_that_nobody_has_labeled(tmp_path):
    pilot(tmp_path, items=60, labeled=40, gold=40)
    rows = [json.dumps({"id": f"i{n}", "label": "a"}) for n in range(40, 60)]
    (tmp_path / "gold.jsonl").write_text("\n".join(rows))
    with pytest.raises(InputError, match="no gold item has votes; label the gold items first"):
        forecast(load_project(tmp_path))


def test_a_pilot_from_a_review_queue_foresees_nothing(tmp_path):
    project, _ = pilot(tmp_path, items=60, labeled=60, gold=40, drawn="review")
    with pytest.raises(InputError, match="all gold was drawn by review"):
        forecast(project)


def test_what_is_left_of_a_cascade_is_the_share_for_the_strong_one(tmp_path):
    settings = "escalate: {to: z, share: 0.25}, min_votes: 1"
    project, _ = pilot(tmp_path, items=100, labeled=20, gold=0, decide=settings)
    (tmp_path / "gold.jsonl").write_text("")
    evidence, decide = api.evidence_of(project), project.config.decide
    left = labeling_left(evidence, fit_rule(evidence, decide), decide)
    assert [(one.annotator, one.items) for one in left] == [
        ("x", 80),
        ("y", 80),
        ("z", 20),
    ]  # 25 in all, some of the pilot


def test_sums_of_what_is_not_known_are_not_known():
    two, unknown = Estimate(2.0, 1.0, 4.0, 9), Estimate(None, why="a price is unknown")
    assert _together([two, Estimate(3.0)], 7) == Estimate(5.0, 4.0, 7.0, 7)
    assert _together([two, unknown], 7) == Estimate(None, n=7, why="a price is unknown")
    assert scaled(two, -10, 100) == Estimate(80.0, 60.0, 90.0, 9)
    assert scaled(unknown, 3) == unknown
