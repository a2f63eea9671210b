"""Ratings: what is on the scale, what is not, and what is measured of them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import cohen_kappa_score

from prelabel.errors import InputError
from prelabel.guideline import Guideline
from prelabel.records import Item
from prelabel.splitting import Part
from prelabel.tasks import AbstainedError, OffListError, Reading, make_task

ITEM = Item("i", {"text": "x"})
FIVE = {"min": "1", "max": "5", "anchors": {"1": "not urgent", "5": "very urgent"}}
HALVES = {"min": "0", "max": "2", "step": "0.5"}
OPEN = {"min": "0", "max": "5", "step": "none"}
TENTHS = {"min": "-0.3", "max": "0.3", "step": "0.1"}
SCALES = {
    "five": FIVE,
    "ten": {"min": "1", "max": "10"},
    "halves": HALVES,
    "tenths": TENTHS,
    "signs": {"min": "-2", "max": "2"},
    "tens": {"min": "0", "max": "1000", "step": "10"},
    "half first": {"min": "0.5", "max": "4.5"},
}


def rating(scale=FIVE, **more):
    return make_task(
        Guideline.model_validate({"name": "g", "task": "rating", "scale": scale} | more)
    )


def parsed(task, answer, rationale=False):
    return task.response_model(rationale=rationale).model_validate_json(json.dumps(answer))


def read(task, answer):
    return task.read(parsed(task, answer), ITEM).label


def same(found, expected):
    return found == expected and type(found) is type(expected)


# The scale


def test_the_values_of_a_scale():
    assert rating().values() == (1, 2, 3, 4, 5)
    assert rating(HALVES).values() == (0.0, 0.5, 1.0, 1.5, 2.0)
    assert rating(TENTHS).values() == (
        -0.3,
        -0.2,
        -0.1,
        0.0,
        0.1,
        0.2,
        0.3,
    )  # not 0.30000000000000004
    assert rating(SCALES["half first"]).values() == (0.5, 1.5, 2.5, 3.5, 4.5)
    assert rating(OPEN).values() is None
    assert all(isinstance(value, int) for value in rating(SCALES["tens"]).values())
    assert len(rating({"min": "0", "max": "1", "step": "0.001"}).values()) == 1001


def test_the_level_is_the_scales():
    assert rating().level == "ordinal"
    assert rating(FIVE | {"level": "interval"}).level == "interval"


def test_a_rating_needs_a_scale():
    with pytest.raises(InputError, match=r"guideline 'g': no scale; write one, as 'scale: \{min"):
        make_task(Guideline.model_validate({"name": "g", "task": "rating"}))


# What is on it


@pytest.mark.parametrize(
    "raw", [4, 4.0, "4", "4.0", " 4 ", "4.", "+4", "04", np.int64(4), np.float64(4)]
)
def test_a_number_and_its_text_are_the_rating(raw):
    assert same(rating().match(raw), 4)


@pytest.mark.parametrize(
    "raw",
    [6, 0, -4, 4.5, "6", "4/5", "4 / 5", "about 4", "4 stars", "four", "4,0", "4 5", "4-5", "1e0", "0x4",
     "٤", "４", "", " ", "-", ".", "nan", "inf", "very", "very urgent.", "urgent", True, False, None, [], [4],
     {"rating": 4}, math.nan, math.inf, 10**400, "9" * 400, 4 + 1e-12],
)  # fmt: skip
def test_what_is_off_the_scale_is_refused(raw):
    with pytest.raises(OffListError, match=r"is not on the scale: a whole number from 1 to 5$"):
        rating().match(raw)


def test_an_anchors_whole_text_is_its_rating():
    task = rating()
    for raw in ("very urgent", " VERY Urgent"):
        assert same(task.match(raw), 5)
    twice = rating(FIVE | {"anchors": {"1": "odd", "5": "Odd", "3": "even"}})
    assert twice.match("even") == 3
    with pytest.raises(OffListError):
        twice.match("odd")
    assert rating(FIVE | {"anchors": {"2": "4"}}).match("4") == 4  # a number is that number


def test_an_open_scale_takes_every_number_within():
    task = rating(OPEN)
    for raw, value in (("3.27", 3.27), (3, 3.0), (0, 0.0), (5.0, 5.0), (1 / 3, 1 / 3), ("-0", 0.0)):
        found = task.match(raw)
        assert same(found, value)
        assert math.copysign(1, found) == 1
    for raw in (5.0001, -0.1, "5.1", math.nan, math.inf, 10**400, True, None):
        with pytest.raises(OffListError, match=r"is not on the scale: any number from 0 to 5"):
            task.match(raw)


def test_the_scale_in_words():
    with pytest.raises(OffListError, match=r"a number from 0 to 2 in steps of 0.5"):
        rating(HALVES).match(0.7)
    with pytest.raises(OffListError, match=r"a number from 0.5 to 4.5 in steps of 1"):
        rating(SCALES["half first"]).match(1)


# Answers


@pytest.mark.parametrize("abstain", [None, "it is empty"])
@pytest.mark.parametrize("rationale", [False, True])
@pytest.mark.parametrize("scale", [*SCALES, "open"])
def test_the_schema_is_strict_and_names_every_value(scale, rationale, abstain):
    task = rating(SCALES.get(scale, OPEN), abstain=abstain)
    schema = task.response_model(rationale=rationale).model_json_schema()
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    keys = ["rationale"] * rationale + ["abstain"] * bool(abstain) + ["rating"]
    assert list(properties) == schema["required"] == keys
    written = json.dumps(schema)
    assert not any(word in written for word in ("$ref", "default", "anyOf", "oneOf", "minimum"))
    values = task.values()
    assert properties["rating"].get("enum") == (list(values) if values else None)
    whole = values is not None and isinstance(values[0], int)
    assert properties["rating"]["type"] == ("integer" if whole else "number")


def test_a_schema_does_not_name_a_thousand_values():
    task = rating({"min": "0", "max": "1000"})
    schema = task.response_model(rationale=False).model_json_schema()
    assert schema["properties"]["rating"] == {"title": "Rating", "type": "integer"}
    assert read(task, {"rating": 1000}) == 1000


def test_an_answer_off_the_scale_is_off_the_list_and_not_unparsable():
    task = rating()
    assert same(read(task, {"rating": 4}), 4)
    assert same(read(task, {"rating": 4.0}), 4)
    assert same(read(task, {"rating": "4"}), 4)
    assert same(read(task, {"rating": "very urgent"}), 5)
    for raw in (6, 0, 4.5, "4/5", "about 4", "high"):
        with pytest.raises(OffListError, match=r"is not on the scale"):
            read(task, {"rating": raw})


@pytest.mark.parametrize(
    "answer", [{}, {"rating": None}, {"rating": True}, {"rating": [4]}, {"label": 4}, 4]
)
def test_what_holds_no_rating_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        parsed(rating(), answer)


def test_the_way_out():
    task = rating(abstain="it is empty")
    for raw in (3, 9, None, "n/a"):
        with pytest.raises(AbstainedError):
            read(task, {"abstain": True, "rating": raw})
    assert read(task, {"abstain": False, "rating": 3}) == 3
    for raw in (None, 9):
        with pytest.raises(OffListError):
            read(task, {"abstain": False, "rating": raw})
    with pytest.raises(ValidationError):
        parsed(task, {"rating": 3})
    assert task.answer(3) == {"abstain": False, "rating": 3}


@pytest.mark.parametrize("name", SCALES)
@settings(deadline=None)
@given(data=st.data())
def test_votes_and_answers_come_back(name, data):
    task = rating(SCALES[name])
    label = data.draw(st.sampled_from(task.values()))
    assert task.votes(label) == {"": label}
    for back in (
        task.from_votes(task.votes(label)),
        read(task, task.answer(label)),
        task.match(label),
        task.match(str(label)),
        task.match(float(label)),
        json.loads(json.dumps(label)),
    ):
        assert same(back, label)
    assert task.from_votes({}) is None


@given(st.floats(0, 5))
def test_any_number_of_an_open_scale_comes_back(value):
    task = rating(OPEN)
    label = task.match(value)
    assert task.from_votes(task.votes(label)) == label == value
    assert read(task, task.answer(label)) == label
    assert task.match(json.loads(json.dumps(label))) == label


# Distributions


def tokens_of(text, size=1):
    return [{"token": text[i : i + size], "logprob": -0.1} for i in range(0, len(text), size)]


def choice(taken, p, others):
    def row(text, p):
        return {"token": text, "bytes": list(text.encode()), "logprob": math.log(p)}

    return row(taken, p) | {"top_logprobs": [row(t, q) for t, q in ({taken: p} | others).items()]}


@pytest.mark.parametrize("name", SCALES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_distribution_of_an_answer_is_its_vote(name, data):
    task = rating(SCALES[name], abstain=data.draw(st.sampled_from([None, "x"])))
    label = data.draw(st.sampled_from(task.values()))
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    indent = data.draw(st.sampled_from([None, 1]))
    written = json.dumps(task.answer(label), separators=separators, indent=indent)
    found = task.distribution(tokens_of(written, data.draw(st.integers(1, 9))))
    assert found == {"": {value: float(value == label) for value in task.values()}}
    assert all(same(a, b) for a, b in zip(found[""], task.values(), strict=True))


def test_one_is_the_start_of_ten():
    task = rating(SCALES["ten"])
    start, end = {"token": '{"rating": ', "logprob": 0.0}, {"token": "}", "logprob": 0.0}
    single = [start, choice("1", 0.8, {"2": 0.2}), choice("}", 0.75, {"0": 0.25})]
    row = task.distribution(single)[""]
    assert {v: p for v, p in row.items() if p} == pytest.approx({1: 0.6, 10: 0.2, 2: 0.2})
    ten = [start, choice("1", 0.8, {"2": 0.2}), choice("0", 0.25, {"}": 0.75}), end]
    assert task.distribution(ten)[""] == pytest.approx(row)
    whole = [start, choice("10", 0.5, {"1": 0.3, "7": 0.2}), end]  # a token of two digits
    assert {v: p for v, p in task.distribution(whole)[""].items() if p} == pytest.approx(
        {10: 0.65, 1: 0.15, 7: 0.2}  # a branch not taken is divided equally
    )


def test_numbers_spelt_otherwise():
    start, end = {"token": '{"rating":', "logprob": 0.0}, {"token": "\n}", "logprob": 0.0}
    five = rating()
    for text in (" 4", "4", " 4.0", "4.00"):
        assert five.distribution([start, *tokens_of(text), end])[""][4] == 1.0
    for text in (" 6", " 4.5", ' "4"', " 40", " 4e1", " null", ""):
        assert five.distribution([start, *tokens_of(text), end]) == {}
    halves = rating(HALVES)
    one = [start, choice(" 1", 0.9, {" 2": 0.1}), choice("\n", 0.6, {".5": 0.4}), end]
    assert {v: p for v, p in halves.distribution(one)[""].items() if p} == pytest.approx(
        {1.0: 0.54, 1.5: 0.36, 2.0: 0.1}
    )
    more = [
        start,
        *tokens_of(" 1."),
        choice("5", 0.7, {"0": 0.3}),
        choice("0", 0.5, {"}": 0.5}),
        end,
    ]
    assert {v: p for v, p in halves.distribution(more)[""].items() if p} == pytest.approx(
        {1.5: 0.7, 1.0: 0.3}
    )


def test_no_distribution_on_an_open_scale():
    assert rating(OPEN).distribution(tokens_of('{"rating": 3.2}')) == {}


# Long items


def merged(rule, labels, scale=FIVE):
    task = rating(scale, merge=rule)
    assert task.splits
    parts = [Part(ITEM, 0, 1, "text")] * len(labels)
    return task.merge(parts, [Reading(label) for label in labels]).label


def test_the_parts_of_a_long_item():
    assert merged("max", [1, 4, 2]) == 4
    assert merged("min", [1, 4, 2]) == 1
    assert merged("median", [1, 4, 2]) == 2
    assert merged("mean", [1, 5, 5]) == 4  # 3.67, the nearest
    for rule in ("mean", "median"):
        assert same(merged(rule, [2, 3]), 2)  # half-way: the lower
        assert merged(rule, [0.1, 0.2], TENTHS) == 0.1  # exactly half-way, in floats or not
        assert merged(rule, [-0.3, -0.2], TENTHS) == -0.3
        assert merged(rule, [1.0, 4.5], OPEN) == 2.75


@given(st.lists(st.integers(1, 5), min_size=1), st.sampled_from(["mean", "median", "min", "max"]))
def test_a_merged_rating_lies_among_those_of_the_parts(labels, rule):
    found = merged(rule, labels)
    assert min(labels) <= found <= max(labels)
    assert isinstance(found, int)


@pytest.mark.parametrize("rule", [None, "most", "first"])
def test_without_a_rule_for_ratings_a_long_item_is_not_split(rule):
    assert not rating(merge=rule).splits


# Measures


def test_measures():
    gold, given_ = [1, 2, 3, 4, 5, 3], [1, 2, 4, 4, 2, 3]
    found = rating().measure(gold, given_)
    assert found.right == [True, True, False, True, False, True]
    assert list(found.metrics) == ["quadratic_kappa", "spearman", "mae", "pearson"]
    assert found.metrics["quadratic_kappa"].value == pytest.approx(
        cohen_kappa_score(gold, given_, weights="quadratic")
    )
    assert found.metrics["mae"].value == pytest.approx(4 / 6)
    assert all(m.n == 6 and m.low < m.value < m.high for m in found.metrics.values())
    assert found.confusion == (
        (1, 0, 0, 0, 0),
        (0, 1, 0, 0, 0),
        (0, 0, 1, 1, 0),
        (0, 0, 0, 1, 0),
        (0, 1, 0, 0, 0),
    )


def test_measures_of_an_open_scale():
    found = rating(OPEN).measure([0.0, 1.5, 4.0], [0.5, 1.5, 5.0])
    assert list(found.metrics) == ["spearman", "mae", "pearson", "quadratic_kappa"]
    assert found.metrics["quadratic_kappa"].value is None
    assert "the scale has no steps" in str(found.metrics["quadratic_kappa"])
    assert found.metrics["mae"].value == pytest.approx(0.5)
    assert found.metrics["spearman"].value == pytest.approx(1)
    assert found.confusion is None


def test_a_long_scale_has_no_confusion_table():
    values = [0, 10, 20]
    assert rating(SCALES["tens"]).measure(values, values).confusion is None


def test_measures_of_nothing_and_of_one_value():
    found = rating().measure([], [])
    assert {m.value for m in found.metrics.values()} == {None}
    assert {m.why for m in found.metrics.values()} == {"nothing was labeled"}
    constant = rating().measure([3] * 5, [3] * 5).metrics
    assert constant["quadratic_kappa"].why == "both give only one rating"
    assert constant["spearman"].value is None
    assert constant["mae"].value == 0
