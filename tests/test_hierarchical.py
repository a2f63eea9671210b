"""Hierarchical: which texts are paths, how they are answered, and how levels vote."""

import json
import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.guideline import Guideline
from prelabel.records import Item
from prelabel.tasks import AbstainedError, OffListError, Reading, make_task

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
    "[" * 200_000,
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
