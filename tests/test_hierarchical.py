"""Hierarchical: which texts are paths, how levels vote, and how each level is measured."""

import json
import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.guideline import Guideline
from prelabel.guideline_check import check
from prelabel.records import Item
from prelabel.tasks import AbstainedError, Measured, OffListError, Reading, make_task

ITEM = Item("i", {"text": "a text"})


def node(name, *below, aliases=()):
    return {"name": name, "definition": "d", "aliases": list(aliases), "labels": list(below)}


def tree_of(*labels, **more):
    document = {"name": "g", "task": "hierarchical", "labels": list(labels)}
    return make_task(Guideline.model_validate(document | more))


def zoo(**more):
    return tree_of(
        node(
            "animals",
            node("dogs", node("poodle"), node("other")),
            node("cats", aliases=["kitties"]),
            node("TV/radio star"),
        ),
        node("plants", node("trees"), node("other"), aliases=["flora"]),
        node("nothing"),
        **more,
    )


PATHS = [
    ["animals", "dogs", "poodle"],
    ["animals", "dogs", "other"],
    ["animals", "cats"],
    ["animals", "TV/radio star"],
    ["plants", "trees"],
    ["plants", "other"],
    ["nothing"],
]


def refused(task, raw):
    with pytest.raises(OffListError) as caught:
        task.match(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Which values are paths


@pytest.mark.parametrize("path", PATHS, ids=" > ".join)
def test_every_way_to_write_a_path(path):
    task = zoo()
    text = " > ".join(path)
    ways = [path, tuple(path), text, {"path": text}, json.dumps(path), [text]]
    ways += [
        ">".join(path),
        "/".join(path),
        " / ".join(path),
        "  >".join(path).upper(),
        f" {text} ",
    ]
    assert [task.match(way) for way in ways] == [path] * len(ways)


def test_a_leaf_alone_where_nothing_else_is_called_so():
    task = zoo()
    assert task.match("poodle") == ["animals", "dogs", "poodle"]
    assert task.match("Kitties") == task.match(["CATS"]) == ["animals", "cats"]
    assert task.match("flora > trees") == task.match(["Flora", "trees"]) == ["plants", "trees"]
    assert refused(task, "other") == (
        "'other' may be 'animals > dogs > other' or 'plants > other'; write the whole path"
    )


def test_an_inner_label_is_no_answer():
    task = zoo()
    assert refused(task, "animals") == (
        "'animals' stops at 'animals'; choose one below it: dogs, cats, TV/radio star"
    )
    assert refused(task, ["animals", "dogs"]).endswith(
        "stops at 'dogs'; choose one below it: poodle, other"
    )
    assert "stops at 'dogs'" in refused(task, "Dogs")
    assert "stops at 'plants'" in refused(task, "flora")


def test_a_leaf_called_like_an_inner_label_needs_its_path():
    task = tree_of(node("animals", node("dogs"), node("cats")), node("toys", node("animals")))
    assert refused(task, "animals").endswith("write the whole path")
    assert task.match("toys > animals") == ["toys", "animals"]


def test_a_whole_path_wins_over_a_leaf_of_the_same_name():
    task = tree_of(node("animals", node("dogs"), node("other")), node("other"))
    assert task.match("other") == ["other"]
    assert task.match("animals > other") == ["animals", "other"]


def test_two_readings_of_one_text_are_none():
    task = tree_of(node("a/b", node("c"), node("d")), node("a", node("b", node("c"), node("e"))))
    assert refused(task, "a/b/c") == "'a/b/c' may be 'a > b > c' or 'a/b > c'; write the whole path"
    assert task.match("a/b > c") == task.match(["a/b", "c"]) == ["a/b", "c"]  # written as here
    assert task.match("a > b > c") == ["a", "b", "c"]
    assert task.match("a/b/d") == ["a/b", "d"]
    assert task.match("a/b/e") == ["a", "b", "e"]


OFF = [
    "",
    " ",
    ">",
    "animals >",
    "> cats",
    "animals > > cats",
    "animals > cat",
    "animals > cats.",
    "animals > cats > persian",
    "animals cats",
    "I think it is animals > cats",
    "animals > cats or plants > trees",
    "plants > cats",
    "cats > animals",
    "dogs > poodle",
    "poodles",
    "&&&&&&poodle",
    "abstain",
    "null",
    "[]",
    '["animals", "cats"',
    '["animals", ["cats"]]',
    '{"path": "animals > cats"}',
    None,
    3,
    True,
    [],
    {},
    [None],
    ["animals", 1],
    ["animals", "cats", ""],
    ["animals", ["cats"]],
    {"path": "animals > cats", "why": "x"},
    {"label": "nothing"},
    [[[[["nothing"]]]]],
]


@pytest.mark.parametrize("raw", OFF, ids=repr)
def test_what_is_no_path_is_refused(raw):
    assert refused(zoo(), raw).endswith("plants > trees, plants > other, nothing")


@given(st.sampled_from(PATHS), st.text(max_size=5), st.text(max_size=5))
@settings(deadline=None)
def test_a_text_that_merely_contains_a_path_is_refused(path, before, after):
    task, whole = zoo(), " > ".join(path)
    for written in (whole, path[-1]):
        raw = before + written + after
        if raw.strip().casefold() in (written.casefold(), whole.casefold()) or path[-1] == "other":
            continue
        refused(task, raw)


def test_a_path_may_be_composed_otherwise():
    task = tree_of(node("café", node("crème"), node("thé")), node("straße"))
    nfd = unicodedata.normalize("NFD", "CAFÉ > CRÈME")
    assert task.match(nfd) == ["café", "crème"]
    assert task.match("STRASSE") == ["straße"]


# Answers


def test_the_answer_is_one_of_the_paths():
    schema = zoo().response_model(rationale=True).model_json_schema()
    assert list(schema["properties"]) == ["rationale", "path"] == schema["required"]
    assert schema["properties"]["path"]["enum"] == [" > ".join(path) for path in PATHS]
    assert schema["additionalProperties"] is False
    model = zoo(abstain="it is empty").response_model(rationale=False)
    assert model.model_json_schema()["properties"]["path"]["enum"][-1] == "abstain"


def read(task, answer):
    model = task.response_model(rationale=False)
    return task.read(model.model_validate_json(json.dumps(answer)), ITEM)


@pytest.mark.parametrize("path", PATHS, ids=" > ".join)
def test_answers_come_back(path):
    task = zoo(abstain="it is empty")
    assert task.answer(path) == {"path": " > ".join(path)}
    assert read(task, task.answer(path)) == Reading(path)


def test_answers_off_the_list_and_the_way_out():
    task = zoo(abstain="it is empty")
    with pytest.raises(AbstainedError):
        read(task, {"path": "Abstain"})
    with pytest.raises(OffListError, match="stops at 'dogs'"):
        read(task, {"path": "animals > dogs"})
    for answer in ({}, {"path": None}, {"path": ["animals", "cats"]}, {"label": "cats"}):
        with pytest.raises(ValidationError):
            read(task, answer)
    with pytest.raises(OffListError, match="'abstain' is not one of"):
        read(zoo(), {"path": "abstain"})


def wide(n, length=3):
    return tree_of(*(node(f"top{k}", *(node(f"leaf{k}-{i}".ljust(length, "x")) for i in range(n // 4)))
                     for k in range(4)))  # fmt: skip


@pytest.mark.parametrize(
    ("task", "closed"),
    [
        (wide(100), True),
        (wide(400), True),
        (wide(404), False),
        (wide(240, 60), False),  # above 15,000 characters
        (wide(300, 30), False),  # above 7,500 characters in more than 250 values
    ],
)
def test_too_many_paths_for_a_schema_are_matched_here(task, closed):
    part = task.response_model(rationale=False).model_json_schema()["properties"]["path"]
    assert part["type"] == "string"
    assert ("enum" in part) == closed
    path = ["top1", task.nodes[task.leaves[-1]][-1].replace("3-", "1-")]
    assert read(task, task.answer(path)) == Reading(path)
    message = refused(task, "top1 > leaf")
    assert len(message) < 200 or len(task.leaves) <= 100
    assert task.leaves[0] in message


def test_the_distribution_of_a_path_is_that_of_its_levels():
    task = tree_of(
        node("a", node("x"), node("y")), node("b", node("x"), node("z", node("w"), node("v")))
    )
    shares = {"a > x": 0.5, "a > y": 0.1, "b > x": 0.2, "b > z > w": 0.15, "b > z > v": 0.05}
    rows = [{"token": json.dumps(p), "logprob": math.log(s)} for p, s in shares.items()]
    tokens = [
        {"token": '{"path": ', "logprob": 0.0},
        {"token": '"a > x"', "logprob": math.log(0.5), "top_logprobs": rows},
        {"token": "}", "logprob": 0.0},
    ]
    found = task.distribution(tokens)
    expected = {
        "1": {"a": 0.6, "b": 0.4},
        "2": {"a > x": 0.5, "a > y": 0.1, "b > x": 0.2, "b > z": 0.2},
        "3": {"b > z > w": 0.15, "b > z > v": 0.05, "": 0.8},
    }
    assert found.keys() == expected.keys()
    for unit, row in expected.items():
        assert found[unit] == pytest.approx(row)
        assert list(found[unit]) == list(task.values(unit))
    assert task.distribution([]) == {}


# Votes


def test_votes_go_level_by_level():
    task = zoo()
    assert task.units() == ("1", "2", "3")
    assert task.votes(["animals", "cats"]) == {"1": "animals", "2": "animals > cats", "3": ""}
    assert task.values("1") == ("animals", "plants", "nothing")
    assert task.values("2") == (
        *("animals > dogs", "animals > cats", "animals > TV/radio star"),
        *("plants > trees", "plants > other", ""),
    )
    assert task.values("3") == ("animals > dogs > poodle", "animals > dogs > other", "")
    flat = tree_of(node("a"), node("b"))
    assert flat.values("1") == ("a", "b")
    even = tree_of(node("a", node("x"), node("y")), node("b", node("x"), node("y")))
    assert even.values("2") == ("a > x", "a > y", "b > x", "b > y")


@pytest.mark.parametrize(
    ("votes", "path"),
    [
        ({"1": "animals", "2": "animals > cats", "3": ""}, ["animals", "cats"]),
        ({"1": "animals", "2": "plants > trees", "3": ""}, ["animals"]),
        ({"1": "animals", "2": "animals > cats", "3": "animals > dogs > poodle"}, PATHS[2]),
        ({"1": "animals", "2": "", "3": ""}, ["animals"]),
        ({"1": "animals", "2": "", "3": "animals > dogs > poodle"}, ["animals"]),
        ({"1": "animals"}, ["animals"]),  # a tie on the second level was left open
        ({"1": "animals", "3": "animals > dogs > poodle"}, ["animals"]),
        ({"2": "animals > cats"}, None),
        ({}, None),
        ({"1": "stones"}, None),
    ],
)
def test_a_consensus_is_the_longest_path_that_agrees(votes, path):
    task = zoo()
    assert task.from_votes(votes) == path
    if path not in PATHS:
        refused(task, path)  # so that people see it


@st.composite
def trees(draw, depth=0):
    names = draw(
        st.lists(
            st.text("abcß >/é", min_size=1, max_size=3)
            .map(str.strip)
            .filter(lambda n: n and " > " not in f" {n} "),
            min_size=1 + (depth == 0),
            max_size=3,
            unique_by=lambda n: unicodedata.normalize("NFC", n.casefold()),
        )
    )
    deeper = depth < 3
    return [
        node(n, *(draw(trees(depth + 1)) if deeper and draw(st.booleans()) else ())) for n in names
    ]


@given(trees(), st.data())
@settings(deadline=None)
def test_votes_come_back_and_prefixes_stay_consistent(labels, data):
    task = tree_of(*labels)
    label = list(task.nodes[data.draw(st.sampled_from(task.leaves))])
    votes = task.votes(label)
    assert tuple(votes) == task.units()
    assert all(value in task.values(unit) for unit, value in votes.items())
    assert (
        task.from_votes(votes) == label == task.match(label) == read(task, task.answer(label)).label
    )
    assert json.loads(json.dumps(label)) == label
    assert task.align({"a": votes, "b": votes}) == {"a": votes, "b": votes}  # levels are units
    mixed = {unit: data.draw(st.sampled_from(task.values(unit))) for unit in task.units()}
    path = task.from_votes(mixed)
    levels = range(1, len(path) + 1)
    assert [mixed[str(k)] for k in levels] == [" > ".join(path[:k]) for k in levels]
    following = mixed.get(str(len(path) + 1), "")
    assert task.nodes.get(following, ())[:-1] != tuple(path)  # no longer path agrees


@given(trees(), st.data())
@settings(deadline=None)
def test_overlap_counts_equal_levels(labels, data):
    task = tree_of(*labels)
    a, b = (list(task.nodes[data.draw(st.sampled_from(task.leaves))]) for _ in "ab")
    same, levels = task.overlap(a, b)
    assert (same, levels) == task.overlap(b, a)
    assert levels == max(len(a), len(b))
    assert (same == levels) == (a == b)
    assert a[:same] == b[:same]
    assert a[same : same + 1] != b[same : same + 1] or a == b


# Long items


@pytest.mark.parametrize(
    ("merge", "merged"), [(None, ["plants", "other"]), ("first", ["animals", "cats"])]
)
def test_parts_are_merged_by_the_declared_rule(merge, merged):
    task = zoo(merge=merge)
    readings = [Reading(PATHS[i]) for i in (5, 2, 5, 6)]
    assert task.merge([], readings) == Reading(merged)
    assert task.merge([], readings[2:]) == Reading(["plants", "other"])  # a tie: the earlier


# Measures


def test_measures_by_hand():
    task = zoo()
    assert isinstance(task, Measured)
    gold = [PATHS[i] for i in (0, 0, 1, 2, 4, 6)]
    given = [PATHS[i] for i in (0, 1, 2, 2, 6, 4)]
    found = task.measure(gold, given)
    assert found.right == [True, False, False, True, False, False]
    values = {name: (e.value, e.n) for name, e in found.metrics.items()}
    assert list(values) == [f"level_{k}_{m}" for k in (1, 2, 3) for m in ("accuracy", "macro_f1")]
    assert values["level_1_accuracy"] == (pytest.approx(4 / 6), 6)
    assert values["level_2_accuracy"] == (pytest.approx(3 / 5), 5)  # of the golds that deep
    assert values["level_3_accuracy"] == (pytest.approx(1 / 3), 3)
    # level 1: animals 4 of 4 and 4; plants and nothing 0
    assert values["level_1_macro_f1"] == (pytest.approx(1 / 3), 6)
    # level 2: dogs 2 * 2 / (3 + 2), cats 2 * 1 / (1 + 2), trees 0; two labels do not occur
    assert values["level_2_macro_f1"] == (pytest.approx((4 / 5 + 2 / 3 + 0) / 3), 6)
    # level 3: poodle 2 * 1 / (2 + 1), other 0
    assert values["level_3_macro_f1"] == (pytest.approx((2 / 3 + 0) / 2), 6)
    rows = {row.label: (row.support, row.predicted, row.hits) for row in found.labels}
    assert rows["animals"] == (4, 4, 4)
    assert rows["animals > dogs"] == (3, 2, 2)
    assert rows["animals > cats"] == (1, 2, 1)
    assert rows["plants > trees"] == (1, 1, 0)
    assert rows["plants > other"] == (0, 0, 0)
    assert tuple(rows) == tuple(task.nodes)


def test_measures_of_nothing_and_of_one():
    task = zoo()
    for estimate in task.measure([], []).metrics.values():
        assert estimate.value is None
        assert estimate.why == "nothing was labeled"
    one = task.measure([["nothing"]], [["nothing"]]).metrics
    assert one["level_1_accuracy"].value == one["level_1_macro_f1"].value == 1
    assert one["level_2_accuracy"].why == "no gold path reaches this level"
    assert one["level_2_macro_f1"].why == "no label of this level occurs"


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=8))
@settings(deadline=None, max_examples=25)
def test_measures_agree_with_counting(pairs):
    task = zoo()
    gold, given = [g for g, _ in pairs], [p for _, p in pairs]
    metrics = task.measure(gold, given).metrics
    for k in (1, 2, 3):
        deep = [g[:k] == p[:k] for g, p in pairs if len(g) >= k]
        value = metrics[f"level_{k}_accuracy"].value
        assert value == (pytest.approx(sum(deep) / len(deep)) if deep else None)
        names = {tuple(x[:k]) for pair in pairs for x in pair if len(x) >= k}
        f1 = [
            2 * sum(tuple(g[:k]) == tuple(p[:k]) == name for g, p in pairs)
            / sum((tuple(g[:k]) == name) + (tuple(p[:k]) == name) for g, p in pairs)
            for name in names
        ]  # fmt: skip
        value = metrics[f"level_{k}_macro_f1"].value
        assert value == (pytest.approx(sum(f1) / len(f1)) if f1 else None)


# What `guideline check` says


def findings(tmp_path, labels, more=""):
    document = f"name: n\ntask: hierarchical\npurpose: p\nquestion: q\n{more}labels:\n{labels}"
    path = tmp_path / "g.yaml"
    path.write_text(document, encoding="utf-8")
    return [f"{f.line}: {f.level}: {f.message}" for f in check(path) if "example" not in f.message]


def test_labels_that_cannot_be_told_apart(tmp_path):
    labels = """\
- name: a
  definition: d
  labels:
  - {name: x, definition: d}
  - {name: y, definition: d, aliases: [X]}
- name: b > c
  definition: d
- {name: A, definition: d}
- {name: e, definition: d, labels: [{name: x, definition: d}]}
"""
    assert findings(tmp_path, labels) == [
        "10: error: label 'y' and label 'x' beside it are both called 'x'; rename one",
        "11: error: label 'b > c' contains '>', which parts the names of a path; rename it",
        "13: error: label 'A' and label 'a' beside it are both called 'a'; rename one",
        (
            "14: warning: 'e' has one label below it, so that nothing is decided there; "
            "add others, or make it a leaf"
        ),
    ]


def test_one_top_label_and_the_word_for_abstaining(tmp_path):
    labels = """\
- name: abstain
  definition: d
  labels:
  - {name: abstain, definition: d}
  - {name: y, definition: d}
"""
    assert findings(tmp_path, labels, "abstain: it is empty\n") == [
        "6: warning: all paths begin with 'abstain'; leave that level out, or add labels beside it",
        "7: error: 'abstain' is the word for abstaining; call the label otherwise",
    ]
    assert findings(tmp_path, labels)[1:] == []
