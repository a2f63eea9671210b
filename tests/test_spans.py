"""The spans task: answers, recorded values, votes, parts of long items, and its evalset."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.guideline import Guideline, load_guideline
from prelabel.guideline_check import check
from prelabel.prompts import load_template, render_system
from prelabel.records import Item
from prelabel.splitting import Part
from prelabel.tasks import AbstainedError, OffListError, Reading, make_task
from prelabel.tasks.spans import text_of

EVALSET = Path(__file__).parents[1] / "evalsets" / "house-notices"
TEXT = "Ann met Bo in Bonn. Ann left."


def task_of(labels=("person", "place"), aliases=None, **settings):
    names = [
        {"name": name, "definition": "d", "aliases": (aliases or {}).get(name, ())}
        for name in labels
    ]
    return make_task(
        Guideline.model_validate({"name": "g", "task": "spans", "labels": names} | settings)
    )


def item_of(text=TEXT, **meta):
    return Item("1", {"text": text}, meta)


def span(start, end, label, text=TEXT):
    return {"start": start, "end": end, "text": text[start:end], "label": label}


def said(*triples):
    return {"spans": [{"text": t, "label": n, "hint": h} for t, n, h in triples]}


def read(task, answer, item=None):
    parsed = task.response_model(rationale=False).model_validate(answer)
    return task.read(parsed, item or item_of())


ANN, BO, BONN, LAST = (
    span(0, 3, "person"),
    span(8, 10, "person"),
    span(14, 18, "place"),
    span(20, 23, "person"),
)


def test_an_answer_is_grounded():
    answer = said(("Ann", "person", "Ann left"), ("Bo", "person", ""), ("Bonn", " PLACE", ""))
    assert read(task_of(), answer) == Reading([BO, BONN, LAST])
    assert read(task_of(), {"spans": []}) == Reading([])


def test_what_is_not_in_the_text_is_left_out_and_kept_in_sight():
    reading = read(task_of(), said(("Bo", "person", ""), ("Bob", "person", "Bob in")))
    assert reading.label == [BO]
    assert reading.extras == {
        "ungrounded": [
            {"text": "Bob", "label": "person", "why": "not in the text as it is written there"}
        ]
    }


def test_an_answer_of_which_nothing_is_there_is_asked_again():
    names = ["bo", "Bob", "Anne", "Köln"]
    with pytest.raises(OffListError, match=r"'bo': not in .*; and 1 more; copy each") as caught:
        read(task_of(), said(*[(name, "person", "") for name in names]))
    assert "\n" not in str(caught.value)


def test_one_label_off_the_list_spoils_the_answer():
    with pytest.raises(OffListError, match=r"label 'animal' is not one of: person, place"):
        read(task_of(), said(("Ann", "person", ""), ("Bo", "animal", "")))


def test_aliases():
    task = task_of(aliases={"place": ["LOC"]})
    assert read(task, said(("Bonn", "loc", ""))).label == [BONN]


def test_overlap_only_where_the_guideline_allows_it():
    answer = said(("Bonn", "place", ""), ("in Bonn", "place", ""))
    strict, free = read(task_of(), answer), read(task_of(overlap=True), answer)
    assert strict.label == [span(11, 18, "place")]
    assert strict.extras["ungrounded"][0]["why"] == "overlaps the span from 11 to 18 (place)"
    assert free == Reading([span(11, 18, "place"), BONN])


def test_the_way_out():
    task = task_of(abstain="it is not a text")
    with pytest.raises(AbstainedError):
        read(task, {"abstain": True} | said(("nothing", "none", "")))
    assert read(task, {"abstain": False} | said(("Bo", "person", ""))).label == [BO]
    assert task.answer([]) == {"abstain": False, "spans": []}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"spans": None},
        {"spans": [{"text": "Ann", "label": "person"}]},
        {"spans": [{"text": None, "label": "person", "hint": ""}]},
    ],
)
def test_another_form_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        task_of().response_model(rationale=False).model_validate(answer)


def test_the_schema_is_closed_and_without_references():
    schema = task_of(abstain="never").response_model(rationale=True).model_json_schema()
    assert list(schema["properties"]) == ["rationale", "abstain", "spans"]
    entry = schema["properties"]["spans"]["items"]
    assert schema["required"] == ["rationale", "abstain", "spans"]
    assert entry["required"] == list(entry["properties"]) == ["text", "label", "hint"]
    assert schema["additionalProperties"] is entry["additionalProperties"] is False
    assert entry["properties"]["label"]["enum"] == ["person", "place"]
    assert "$ref" not in json.dumps(schema)


@pytest.mark.parametrize(
    "raw",
    [
        [ANN, BONN],
        [BONN, ANN, ANN],
        {"spans": [ANN, BONN]},
        [[0, 3, "person"], [14, 18, "place"]],
        ((14, 18, "Place"), (0, 3, "person", "Ann")),
        [{"start": "0", "end": "3", "label": "person"}, {"start": 14, "end": 18, "label": "place"}],
        [{"text": "Ann", "label": "person"}, {"text": "Bonn", "label": "place", "hint": ""}],
        said(("Ann", "person", "Ann met"), ("Bonn", "place", "")),
        ["B-person", "O", "O", "O", "B-place", "O", "O", "O", "O"],
        ["I-person", "O", "O", "O", "U-place", "O", "O", "O", "O"],
    ],
)
def test_recorded_values(raw):
    item = item_of(tokens=["Ann", "met", "Bo", "in", "Bonn", ".", "Ann", "left", "."])
    if isinstance(raw, list) and isinstance(raw[0], str):
        item = Item("1", {"text": " ".join(item.meta["tokens"])}, item.meta)
    assert task_of().match(raw, item) == task_of().match(json.dumps(raw), item) == [ANN, BONN]


def test_nothing_is_a_value():
    for raw in ([], "[]", {"spans": []}, ()):
        assert task_of().match(raw, item_of()) == task_of().match(raw) == []
    tokens = ["Ann", "left"]
    assert task_of().match(["O", "O"], item_of("Ann left", tokens=tokens)) == []


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "None is not a list of spans"),
        ("", "'' is not JSON"),
        ({"label": "person"}, "None is not a list of spans"),
        ([[0, 3]], r"\[0, 3\] is not a span; write"),
        ([[0.0, 3, "person"]], "is not a span"),
        ([[True, 3, "person"]], "is not a span"),
        ([{"text": 3, "label": "person"}], "is not a span"),
        ([[0, 3, "animal"]], "label 'animal' is not one of: person, place"),
        ([[3, 3, "person"]], "span 3 to 3 is not within the 29 characters"),
        ([[-3, 3, "person"]], "span -3 to 3 is not within"),
        ([[0, 30, "person"]], "span 0 to 30 is not within the 29 characters"),
        ([[1, 4, "person", "Ann"]], r"span 1 to 4 is 'nn ', not 'Ann'; offsets count"),
        ([ANN | {"text": "ann"}], "span 0 to 3 is 'Ann', not 'ann'"),
        ([[0, 7, "person"], [4, 7, "place"]], "'Ann met' and 'met' overlap, which the guideline"),
        ([[0, 3, "person"], [0, 3, "place"]], "'Ann' and 'Ann' overlap"),
        ([{"text": "Bob", "label": "person"}], "'Bob': not in the text"),
        ([{"text": "Ann", "label": "person"}, ANN], "is not a span"),
        (["B-person"], "only with the item's tokens"),
    ],
)
def test_recorded_values_that_are_no_label(raw, why):
    with pytest.raises(OffListError, match=why) as caught:
        task_of().match(raw, item_of())
    assert "\n" not in str(caught.value)


def test_tags_must_fit_the_tokens():
    for meta, text, why in (
        ({"tokens": ["Ann"]}, "Ann left", "is not its tokens joined by single spaces"),
        ({"tokens": ["Ann", "left"]}, "Ann left", "1 tags for 2 tokens"),
        ({"tokens": "Ann"}, "Ann", "only with the item's tokens"),
    ):
        with pytest.raises(OffListError, match=why):
            task_of().match(["B-person"], item_of(text, **meta))
    with pytest.raises(OffListError, match="'animal' is not one of"):
        task_of().match(["B-animal"], item_of("Ann", tokens=["Ann"]))
    with pytest.raises(OffListError, match="'person' is not an IOB tag"):
        task_of().match(["person"], item_of("Ann", tokens=["Ann"]))


def test_without_the_item_only_the_whole_shape_can_be_read():
    assert task_of().needs_item
    assert task_of().match([BONN, ANN]) == [ANN, BONN]
    for raw, why in (
        ([[0, 3, "person"]], "lacks its text"),
        ([ANN | {"text": "An"}], "lacks its text"),
        ([{"text": "Ann", "label": "person"}], "only with its item"),
        (["B-person"], "only with the item's tokens"),
    ):
        with pytest.raises(OffListError, match=why):
            task_of().match(raw)


def test_where_spans_stand():
    assert text_of(Item("1", {"title": "a", "text": "b"})) == "b"
    assert text_of(Item("1", {"title": "a", "body": "b"})) == "a"
    assert task_of().match([[0, 1, "place"]], Item("1", {"title": "a", "body": "b"}))


def test_the_answer_of_a_label_is_grounded_to_it_again():
    task, label = task_of(), [BO, LAST]
    assert task.answer(label)["spans"][1] == {"text": "Ann", "label": "person", "hint": ""}
    answer = task.answer(label, item_of())
    assert [entry["hint"] for entry in answer["spans"]] == ["", "Ann left."]
    assert read(task, answer).label == label


ALPHABET = ["Ann", "é", "e\u0301", "👩‍👩‍👧", "ש", '"', "\\", "\r\n", " ", "李"]
pieces = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=10)


@st.composite
def labeled(draw, overlap=False):
    """An item and a label of it."""
    text = "".join(draw(pieces))
    cuts = st.integers(0, len(text))
    edges = sorted(draw(st.sets(cuts, max_size=6)))
    places = list(zip(edges[::2], edges[1::2], strict=False))
    if overlap:
        places = [tuple(sorted(draw(st.tuples(cuts, cuts)))) for _ in range(3)]
    names = st.sampled_from(["person", "place"])
    found = [span(a, b, draw(names), text) for a, b in places if a < b]
    return item_of(text), task_of(overlap=overlap).match(found, item_of(text))


@given(st.one_of(labeled(), labeled(overlap=True)))
def test_a_label_is_its_votes(drawn):
    item, label = drawn
    task = task_of(overlap=True)
    votes = task.votes(label)
    assert task.from_votes(votes) == label
    assert all(json.loads(unit)[3] in item.fields["text"] for unit in votes)
    assert (
        task.from_votes(votes | dict.fromkeys(task.votes([span(0, 1, "x", "?")]), False)) == label
    )
    assert task.match(json.dumps(label), item) == task.match(label) == label


def test_votes_are_made_comparable():
    task = task_of()
    votes = {"a": task.votes([BONN, ANN]), "b": task.votes([BO]), "c": task.votes([])}
    aligned = task.align(votes)
    units = ['[0, 3, "person", "Ann"]', '[8, 10, "person", "Bo"]', '[14, 18, "place", "Bonn"]']
    assert {name: list(mine) for name, mine in aligned.items()} == dict.fromkeys("abc", units)
    assert [list(mine.values()) for mine in aligned.values()] == [
        [True, False, True],
        [False, True, False],
        [False, False, False],
    ]
    assert task.align(aligned) == aligned
    assert task.values(units[0]) == (True, False)
    assert task.units() == ()
    assert task.overlap([ANN, BO], [BO]) == (2.0, 3.0)


def test_the_main_figure_is_exact_f1():
    measures = task_of().measure([[ANN, BO], []], [[ANN], [BONN]])
    assert list(measures.metrics) == [
        *("exact_f1", "exact_precision", "exact_recall"),
        *("partial_f1", "type_f1"),
    ]
    assert measures.metrics["exact_f1"].value == 0.5
    assert [score.label for score in measures.labels] == ["person", "place"]


def parts_of(text, *places, field="text"):
    return [
        Part(Item("1", {"text": text[a:b] if field == "text" else text, "note": "n"}), a, b, field)
        for a, b in places
    ]


def test_the_parts_of_a_long_item_make_one():
    parts = parts_of(TEXT, (0, 18), (8, 29))
    readings = [
        Reading([ANN, BO, BONN]),
        Reading(
            [span(0, 2, "person", TEXT[8:]), span(12, 15, "person", TEXT[8:])],
            {"ungrounded": [{"text": "x", "label": "place", "why": "w"}]},
        ),
    ]
    merged = task_of().merge(parts, readings)
    assert merged.label == [ANN, BO, BONN, LAST]
    assert merged.extras == {"ungrounded": [{"text": "x", "label": "place", "why": "w"}]}
    assert task_of().merge(parts, [Reading([]), Reading([])]) == Reading([])


@pytest.mark.parametrize("overlap", [False, True])
def test_a_span_cut_by_an_edge_gives_way_to_the_whole(overlap):
    text = "at New York Times today"
    parts = parts_of(text, (0, 11), (3, 23))
    whole = span(3, 17, "place", text)
    cut = [
        Reading([span(3, 11, "place", text)]),
        Reading([span(0, 14, "place", text[3:]), span(15, 20, "person", text[3:])]),
    ]
    merged = task_of(overlap=overlap).merge(parts, cut)
    assert merged.label == [whole, span(18, 23, "person", text)]
    inner = [Reading([]), Reading([span(0, 14, "place", text[3:]), span(4, 8, "place", text[3:])])]
    kept = task_of(overlap=overlap).merge(parts, inner).label
    assert kept == [whole, *([span(7, 11, "place", text)] if overlap else [])]


def test_spans_do_not_move_where_another_field_was_cut():
    parts = parts_of(TEXT, (0, 5), (3, 9), field="note")
    assert task_of().merge(parts, [Reading([ANN]), Reading([ANN, BONN])]).label == [ANN, BONN]


def test_a_guideline_shows_a_text_without_spans(tmp_path):
    path = tmp_path / "guideline.yaml"
    document = (EVALSET / "guideline.yaml").read_text(encoding="utf-8")
    path.write_text(document, encoding="utf-8")
    assert check(path) == []
    shown = document.replace("answer: []", "answer: [{text: Who, label: person}]", 1)
    path.write_text(shown.replace("answer: []", "answer: [{text: The, label: time}]", 1), "utf-8")
    assert [f.message for f in check(path)] == [
        "no worked example without spans; add one with 'answer: []'"
    ]


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_prompts_say_how_to_answer(prompt, tmp_path):
    guideline = load_guideline(EVALSET / "guideline.yaml")
    template = load_template("spans", prompt, tmp_path)

    def system(**changes):
        changed = guideline.model_copy(update=changes)
        return render_system(template, guideline=changed, rationale=False, show_examples=True)

    assert '{"spans": [{"text": "<words of the text>", "label": "<label>", "hint": ""}' in system()
    assert "letter by letter" in system()
    assert "abstain" not in system()
    assert '"abstain": false, "spans"' in system(abstain="it is no notice")
    if prompt == "full":
        assert "Spans never overlap" in system()
        assert "Spans may overlap" in system(overlap=True)


def rows(name):
    with (EVALSET / name).open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def test_the_evalsets_gold_is_found_again_from_what_an_annotator_would_say():
    task = make_task(load_guideline(EVALSET / "guideline.yaml"))
    items = {row["id"]: item_of(row["text"]) for row in rows("items.jsonl")}
    gold = {row["id"]: row["label"] for row in rows("gold.jsonl")}
    assert list(gold) == list(items)
    assert len(items) == 97
    for key, label in gold.items():
        assert task.match(label, items[key]) == label
        answer = task.answer(label, items[key])
        assert read(task, answer, items[key]) == Reading(label)


def test_the_evalsets_card_counts_right():
    card = (EVALSET / "README.md").read_text(encoding="utf-8")
    gold = rows("gold.jsonl")
    names = ("person", "place", "time", "price")

    def counts(of):
        found = [
            sum(map(of, part))
            for part in (
                [r for r in gold if r["split"] == "calibration"],
                [r for r in gold if r["split"] == "test"],
            )
        ]
        return " | ".join(map(str, [*found, sum(found)]))

    for name in names:
        of_name = counts(lambda row, n=name: sum(s["label"] == n for s in row["label"]))
        assert f"| {name} | {of_name} |" in card
    assert f"| items | {counts(lambda row: 1)} |" in card
    assert f"| of them without spans | {counts(lambda row: not row['label'])} |" in card
