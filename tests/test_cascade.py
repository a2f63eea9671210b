"""What a cascade accepts, costs and promises, on items that all have labeled."""

import json
import random

import numpy as np
import pytest
import yaml
from facts import Facts
from typer.testing import CliRunner

from prelabel import api, cascade
from prelabel.cascading import read_prices
from prelabel.cli import app
from prelabel.errors import InputError
from prelabel.estimate import wilson
from prelabel.fitting import fit_all
from prelabel.project import load_project
from prelabel.records import Annotation, Gold, Item
from prelabel.routing import route_all
from prelabel.settings import DecideConfig
from prelabel.tasks import make_task
from prelabel.votes import Evidence

CHEAP = ("small", "tiny")
PRICES = {"small": 0.001, "tiny": 0.001, "large": 0.02}


def climb(folder, items=240, gold=200, seed=1, **more):
    """Make a project of two cheap annotators, surer where they are right, and a strong one."""
    random_ = random.Random(seed)
    truth = {f"i{n}": random_.choice("abc") for n in range(items)}
    settings = "gold: {path: gold.jsonl}\n"
    facts = Facts(folder, items=0, settings=settings)
    facts.texts = {item: f"text {item}" for item in truth}
    facts.write()
    picked = random_.sample(sorted(truth), gold)
    rows = [json.dumps({"id": item, "label": truth[item]} | more) for item in picked]
    (folder / "gold.jsonl").write_text("\n".join(rows))
    said = []
    for item, label in truth.items():
        hard = random_.random() < 0.4
        wrong = random_.choice([other for other in "abc" if other != label])
        for name in (*CHEAP, "large"):
            errs = random_.random() < {"large": 0.1}.get(name, 0.7) and hard
            sure = min(max(random_.gauss(0.6 if hard else 0.9, 0.05), 0), 1)
            own = wrong if errs else label
            said.append({"id": item, "annotator": name, "label": own, "sure": sure})
    (folder / "said.jsonl").write_text("\n".join(map(json.dumps, said)))
    api.import_annotations(facts.project, folder / "said.jsonl", layout="long", confidence="sure")
    return facts.project, truth


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    project, truth = climb(tmp_path_factory.mktemp("cascade"))
    return (
        cascade(
            project,
            CHEAP,
            "large",
            shares=(0, 0.4, 1),
            promise="dataset",
            target=0.1,
            prices=PRICES,
            review_cost=0.5,
        ),
        project,
        truth,
    )


def test_each_share_asks_as_many_and_pays_for_them(found):
    rows = found[0].rows
    assert [row.share for row in rows] == [0, 0.4, 1]
    assert [row.asked for row in rows] == [0, 96, 240]
    assert [row.dollars for row in rows] == pytest.approx(
        [240 * 0.002 + asked * 0.02 for asked in (0, 96, 240)]
    )
    assert found[0].alone.dollars == pytest.approx(240 * 0.02)
    assert (found[0].alone.share, found[0].alone.asked) == (None, 240)


def test_asking_where_cheap_ones_are_unsure_finds_the_hard_items(found):
    none, some, every = (row.accuracy.value for row in found[0].rows)
    assert none < some
    assert every - some < 0.03  # at two fifths of the price
    assert every == found[0].alone.accuracy.value
    assert found[0].rows[1].accepted.value > 0.5


def test_costs_for_an_accepted_label_have_an_interval(found):
    for row in (*found[0].rows, found[0].alone):
        k = round(row.accepted.value * 240)
        if not k:
            assert row.per_accepted.why == row.ratio.why == "nothing is accepted"
            continue
        share = wilson(k, 240)
        assert row.accepted == share
        each = row.dollars / 240
        own = row.per_accepted
        assert (own.value, own.low, own.high) == pytest.approx(
            (row.dollars / k, each / share.high, each / share.low)
        )
        alone = found[0].alone
        times = row.per_accepted.value / alone.per_accepted.value
        assert row.ratio.value == pytest.approx(times)
        if row.share is not None:
            assert row.ratio.low <= times <= row.ratio.high
        assert row.per_label.value == pytest.approx(each + 0.5 * (1 - k / 240))


def test_the_best_rung_costs_least_with_reviews(found):
    every = (*found[0].rows, found[0].alone)
    least = min(every, key=lambda row: row.per_label.value)
    assert found[0].best == least


def test_all_shares_are_tested_at_a_part_of_delta(found):
    assert (found[0].looks, found[0].delta) == (4, 0.1)
    for row in (*found[0].rows, found[0].alone):
        assert row.promise.delta == pytest.approx(0.025)


def test_its_settings_fit_the_rule_that_was_tried(found):
    tried, project, _ = found
    rung = tried.rows[1]
    settings = yaml.safe_load(tried.settings(rung))
    config = DecideConfig.model_validate(settings)
    assert (config.escalate.to, config.escalate.share) == ("large", 0.4)
    rule = api.fit(project, **settings).rule
    assert rule.promises[""] == rung.promise
    accepted = api.route(project, rule=api.fit(project, **settings).path).accepted
    assert len(accepted) == round(rung.accepted.value * 240)
    assert tried.settings(tried.alone) == ""


def test_it_is_plain_json_and_on_screen(found):
    tried, project, _ = found
    json.dumps(tried.to_dict(), allow_nan=False)
    price = [x for name, p in PRICES.items() for x in ("--price", f"{name}={p}")]
    options = ["cascade", *CHEAP, "--strong", "large", "-p", str(project.folder), *price]
    options += ["--promise", "dataset", "--target", "0.1", "--share", "0.4"]
    shown = CliRunner().invoke(app, [*options, "--review-cost", "0.5"])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert "small, tiny, then large, on 240 items that all have annotated, 200 of them gold" in text
    assert "--escalate 0.4 --after small --after tiny" in text
    told = json.loads(CliRunner().invoke(app, [*options, "--json"]).output)
    assert [row["share"] for row in told["rows"]] == [0.4]


def test_labels_without_a_price_compare_with_nothing(tmp_path):
    project, _ = climb(tmp_path, items=60, gold=50)
    (only,) = cascade(project, ["tiny"], "large", shares=[0.5], promise="dataset", target=0.3).rows
    assert only.dollars is None
    assert only.ratio.why == "a price is unknown"


def test_equally_sure_annotators_are_said_to_be_asked_at_random(tmp_path):
    facts = Facts(tmp_path, items=40, settings="gold: {path: gold.jsonl}\n")
    rows = [json.dumps({"id": f"i{n}", "label": "a"}) for n in range(30)]
    (tmp_path / "gold.jsonl").write_text("\n".join(rows))
    for n in range(25):
        facts.say_all(f"i{n}", "a", "a")
    found = cascade(load_project(tmp_path), ["x"], "y", shares=[0.5])
    assert any("who is asked is random" in note for note in found.notes)
    assert found.best is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cheap": []}, "name one or more cheap annotators, and another as --strong"),
        ({"strong": "small"}, "name one or more cheap annotators, and another as --strong"),
        ({"shares": [1.5]}, "a share must be from 0 to 1, such as 0.3; got 1.5"),
        ({"shares": []}, "give one or more shares"),
        ({"prices": {"gpt": 1.0}}, "the price of 'gpt': no such annotator in this cascade"),
        ({"prices": {"tiny": -1.0}}, "the price of tiny must be 0 or more, got -1"),
        ({"review_cost": float("inf")}, "the price of a review must be 0 or more, got inf"),
        ({"strong": "nobody"}, "annotator 'nobody' has no annotations; there are: "),
        ({"target": 2}, "decide: target: "),
    ],
)
def test_cascades_that_cannot_be_tried(found, change, said):
    with pytest.raises(InputError) as caught:
        cascade(found[1], **{"cheap": CHEAP, "strong": "large"} | change)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_gold_that_all_have_labeled_there_is_nothing_to_try(tmp_path):
    facts = Facts(tmp_path)
    facts.say_all("i0", "a", "a")
    with pytest.raises(InputError, match="no gold item is annotated by all of x, y; label a pilot"):
        cascade(facts.project, ["x"], "y")


@pytest.mark.parametrize("text", ["gpt", "gpt=dear", "=3"])
def test_a_price_must_be_a_number(text):
    with pytest.raises(InputError, match=r"write NAME=DOLLARS a label: gpt=0\.002"):
        read_prices([text])


def test_prices_are_read():
    assert read_prices(["gpt=0.002", "a=b=1"]) == {"gpt": 0.002, "a=b": 1.0}


def drawn(seed, n, guideline):
    """Return evidence of a cheap and a strong annotator, whose errors nothing tells, and truth."""
    rng = np.random.default_rng(seed)
    truth = [str(label) for label in rng.choice(["a", "b"], n)]
    said = {"c@x": rng.random(n) < 0.4, "s@x": rng.random(n) < 0.3}
    items = {}
    for at, label in enumerate(truth):
        sure = {"confidence": float(rng.random())}
        other = {"a": "b", "b": "a"}[label]
        items[f"i{at}"] = [
            Annotation(
                f"i{at}", "h", name, "g", "labeled", other if wrong[at] else label, extras=sure
            )
            for name, wrong in said.items()
        ]
    evidence = Evidence(make_task(guideline), "g", items, {"c@x": "c", "s@x": "s"})
    return evidence, {f"i{at}": label for at, label in enumerate(truth)}


def test_a_promise_at_the_end_of_a_cascade_is_kept(tmp_path):
    """Of all labels 34% are wrong, whichever are accepted, and 30% are promised."""
    guideline = Facts(tmp_path).project.guideline
    last = {"to": "s", "share": 0.6}
    config = DecideConfig.model_validate(
        {"promise": "dataset", "target": 0.3, "min_votes": 1, "escalate": last}
    )
    broken = []
    for seed in range(25):
        evidence, truth = drawn(seed, 300, guideline)
        gold = [Gold(f"i{n}", truth[f"i{n}"]) for n in range(45)]
        items = [Item(item, {"text": ""}) for item in truth]
        rule = fit_all(evidence, config, gold=gold, items=items).rule
        routed = route_all(evidence, rule, items)
        wrong = sum(r.consensus.label != truth[i] for i, r in routed.items() if r.accepted)
        broken.append(wrong / len(truth) > 0.3)
    assert np.mean(broken) <= 0.1 + 3 * (0.1 * 0.9 / 25) ** 0.5
