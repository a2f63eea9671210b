"""Extraction: how typed fields are asked for, read, compared, voted on and merged."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.guideline import Guideline, load_guideline
from prelabel.guideline_check import check
from prelabel.normalize import normalize
from prelabel.prompts import make_compiler
from prelabel.records import Item
from prelabel.settings import AnnotatorConfig
from prelabel.tasks import AbstainedError, OffListError, Reading, make_task

FIELDS = [
    {"name": "kind", "type": "enum", "values": ["sale", "Wanted"], "required": True},
    {"name": "title", "normalize": ["case", "space", "punctuation", "articles"]},
    {"name": "price (EUR)", "type": "number"},
    {"name": "ends", "type": "date"},
    {"name": "extras", "type": "list", "normalize": ["case"]},
    {"name": "colours", "type": "list", "values": ["red", "blue", "green"]},
    {"name": "model_config"},
]
NOTHING = {
    "kind": None, "title": None, "price (EUR)": None, "ends": None, "extras": [], "colours": [], "model_config": None,
}  # fmt: skip
FULL = {
    "kind": "sale", "title": "The red bike", "price (EUR)": 12.5, "ends": "2024-03-05",
    "extras": ["bell", "lamp"], "colours": ["red"], "model_config": "x",
}  # fmt: skip

slow = settings(deadline=None, max_examples=50)  # shared machines stall now and then


def task_of(fields=FIELDS, **settings):
    document = {"name": "g", "task": "extraction", "fields": fields}
    return make_task(Guideline.model_validate(document | settings))


TASK = task_of()
ITEM = Item("1", {"text": "An ad"})
PART = Item("1", {"text": "An ad"}, {"part": 2})


def read(answer, task=TASK, item=ITEM, rationale=False):
    wire = json.dumps(answer, ensure_ascii=False)
    parsed = task.response_model(rationale=rationale).model_validate_json(wire)
    return task.read(parsed, item).label


def one(type_, raw, **settings):
    task = task_of([{"name": "f", "type": type_} | settings])
    return read({"f": raw}, task).get("f")


writable = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
plain = st.text(writable, min_size=1).map(lambda t: normalize(t, ()))
plain = plain.filter(lambda t: t not in {"", "null"})
values = {
    "kind": st.sampled_from(["sale", "Wanted"]),
    "title": plain,
    "price (EUR)": st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9).map(lambda x: int(x) if x.is_integer() else x),
    "ends": st.dates().map(lambda day: day.isoformat()),
    "extras": st.lists(plain, min_size=1, unique_by=lambda t: normalize(t, ["case"])).map(sorted),
    "colours": st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, unique=True).map(sorted),
    "model_config": plain,
}  # fmt: skip
labels = st.fixed_dictionaries(
    {"kind": values["kind"]}, optional={k: v for k, v in values.items() if k != "kind"}
)
labels = labels.map(lambda label: {name: label[name] for name in TASK.fields if name in label})

# What is asked and what is read


@slow
@given(labels)
def test_a_label_comes_back_from_votes_from_an_answer_and_from_a_file(label):
    votes = TASK.votes(label)
    assert set(votes) == set(TASK.fields)
    assert TASK.from_votes(votes) == label
    assert TASK.votes(TASK.from_votes(votes)) == votes
    assert read(TASK.answer(label)) == label
    assert TASK.match(label) == label
    assert TASK.match(json.dumps(label)) == label
    assert list(TASK.match(dict(reversed(label.items())))) == list(label)  # the guideline's order


@pytest.mark.parametrize("rationale", [False, True])
@pytest.mark.parametrize("abstain", [None, "it is no ad"])
def test_the_schema_is_one_that_strict_modes_take(rationale, abstain):
    schema = task_of(abstain=abstain).response_model(rationale=rationale).model_json_schema()
    head = [*(["rationale"] if rationale else []), *(["abstain"] if abstain else [])]
    assert list(schema["properties"]) == schema["required"] == [*head, *TASK.fields]
    assert schema["additionalProperties"] is False
    assert not {"default", "oneOf", "$defs"} & set(json.dumps(schema).split('"'))


def test_optional_fields_are_nullable_and_closed_ones_closed():
    properties = TASK.response_model(rationale=False).model_json_schema()["properties"]
    shapes = {name: {k: v for k, v in p.items() if k != "title"} for name, p in properties.items()}
    text = {"type": ["string", "null"]}
    assert shapes == {
        "kind": {"type": "string", "enum": ["sale", "Wanted"]},
        "title": text,
        "price (EUR)": {"type": ["number", "null"]},
        "ends": text | {"description": "YYYY-MM-DD"},
        "extras": {"type": "array", "items": {"type": "string"}},
        "colours": {"type": "array", "items": {"type": "string", "enum": ["red", "blue", "green"]}},
        "model_config": text,
    }
    optional = task_of([{"name": "k", "type": "enum", "values": ["a", "b"]}])
    shape = optional.response_model(rationale=False).model_json_schema()["properties"]["k"]
    assert (shape["type"], shape["enum"]) == (["string", "null"], ["a", "b", None])


def test_the_wire_form_of_an_answer():
    assert TASK.answer({"kind": "sale"}) == NOTHING | {"kind": "sale"}
    assert TASK.answer(FULL) == FULL
    assert task_of(abstain="it is no ad").answer(FULL) == {"abstain": False} | FULL


def test_an_answer_is_normalised():
    given_ = {
        "kind": " SALE ", "title": "  Bike ", "price (EUR)": "€ 1,200.50", "ends": "March 3, 2024",
        "extras": ["lamp", "Bell", " lamp ", "LAMP", ""], "colours": ["Red", "blue", "red"], "model_config": "",
    }  # fmt: skip
    assert read(given_) == {
        "kind": "sale", "title": "Bike", "price (EUR)": 1200.5, "ends": "2024-03-03",
        "extras": ["Bell", "lamp"], "colours": ["blue", "red"],
    }  # fmt: skip


@pytest.mark.parametrize("type_", ["string", "number", "date", "enum"])
@pytest.mark.parametrize("raw", [None, "", "  ", "null"])
def test_nothing_is_no_value(type_, raw):
    assert one(type_, raw, **({"values": ["a"]} if type_ == "enum" else {})) is None


@pytest.mark.parametrize("raw", [None, [], "", "[]", [""], [None, " "], ["null"]])
def test_an_empty_list_is_no_value(raw):
    if raw == [None, " "]:
        with pytest.raises(OffListError, match="field 'f': None is not a text"):
            one("list", raw)
    elif raw == ["null"]:
        assert one("list", raw) == ["null"]  # an entry is never nothing by its word
    else:
        assert one("list", raw) is None


def test_a_value_called_null_is_a_value():
    assert one("enum", "null", values=["null", "zero"]) == "null"


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        ("number", 12.0, 12), ("number", "12.50", 12.5), ("number", "£ 30", 30), ("number", "0", 0),
        ("number", 1e3, 1000), ("date", "2 May 2025", "2025-05-02"), ("date", "2025/5/2", "2025-05-02"),
        ("string", "e\u0301 ", "é"), ("list", "lamp", ["lamp"]), ("list", '["b", "a"]', ["a", "b"]),
        ("list", ("a",), ["a"]),
    ],
)  # fmt: skip
def test_values_as_they_are_met(type_, raw, value):
    found = one(type_, raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "raw", "why"),
    [
        ("number", "twelve", "'twelve' is not a number; write digits alone"),
        ("number", True, "True is not a number"),
        ("number", "1,200", "'1,200' may mean 1200 or 1.2; write the one that is meant"),
        ("number", [12], r"\[12\] is not a number"),
        ("date", "03/04/2024", "'03/04/2024' may be day or month first; write it as YYYY-MM-DD"),
        ("date", "3 March", "'3 March' is not a whole date; write it as YYYY-MM-DD"),
        ("date", 20240303, "20240303 is not a date"),
        ("string", 12, "12 is not a text"),
        ("string", ["a"], r"\['a'\] is not a text"),
        ("string", {}, "{} is not a text"),
        ("enum", "a or b", "'a or b' is not one of: a, b"),
        ("enum", "unknown", "'unknown' is not one of: a, b"),
        ("enum", False, "False is not a text"),
        ("list", {"a": 1}, "{'a': 1} is not a list of texts"),
        ("list", 3, "3 is not a list of texts"),
        ("list", ["a", 3], "3 is not a text"),
        ("list", "[1", r"'\[1' is not JSON"),
        ("list", "[" * 200_000, r"'\[\[\[.* is not JSON"),
        ("string", "a\0", r"'a\\x00' has NUL or half a surrogate pair in it; write it without"),
    ],
)
def test_what_is_not_of_the_fields_type_is_off_the_list_and_names_the_field(type_, raw, why):
    closed = {"values": ["a", "b"]} if type_ == "enum" else {}
    with pytest.raises(OffListError, match=f"^field 'f': {why}"):
        one(type_, raw, **closed)


@pytest.mark.parametrize("type_", ["string", "list"])
@pytest.mark.parametrize("text", ["\ud800abc", "abc\udfff", "a\0"])
def test_a_text_that_no_file_can_hold_is_off_the_list(type_, text):
    task = task_of([{"name": "f", "type": type_}])
    raw = {"f": ["a", text] if type_ == "list" else text}
    answer = task.response_model(rationale=False).model_validate(raw)
    for refused in (lambda: task.read(answer, ITEM), lambda: task.match(raw)):
        with pytest.raises(OffListError, match=r"^field 'f': .* has NUL or half a surr") as error:
            refused()
        assert str(error.value).isprintable()  # it is shown to the model


def test_an_entry_off_a_closed_list_spoils_it():
    with pytest.raises(
        OffListError, match=r"^field 'colours': 'purple' is not one of: red, blue, green$"
    ):
        read(FULL | {"colours": ["red", "purple"]})


def test_a_missing_required_field_is_off_the_list():
    for answer in (NOTHING, FULL | {"kind": ""}):
        with pytest.raises(OffListError, match=r"^no value for 'kind', which every item has$"):
            read(answer)
    with pytest.raises(OffListError, match="no value for 'kind'"):
        TASK.match({"title": "Bike"})
    assert read(NOTHING, item=PART) == {}  # another part may have it


@pytest.mark.parametrize("answer", [{}, {"kind": "sale"}, [], "sale", None, {"fields": FULL}])
def test_an_answer_without_all_fields_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        read(answer)


def test_the_way_out():
    task = task_of(abstain="it is no ad")
    with pytest.raises(AbstainedError):
        read({"abstain": True} | NOTHING, task)
    assert read({"abstain": False, "rationale": "An ad."} | FULL, task, rationale=True) == FULL
    with pytest.raises(ValidationError):
        read(FULL, task)


def test_recorded_objects():
    assert TASK.match({"Kind": "wanted", "Price (eur)": "12 €"}) == {
        "kind": "Wanted",
        "price (EUR)": 12,
    }
    assert TASK.match({"rationale": "Says so.", "abstain": False} | FULL) == FULL
    for raw, why in [
        ({"kind": "sale", "colour": "red"}, r"'colour' is not one of the fields: kind, title,"),
        ({"kind": "sale", "KIND": "sale"}, r"'KIND' is there twice"),
        ({"kind": "sale", "abstain": True}, r"'abstain' is not one of the fields"),
        ("kind: sale", r"'kind: sale' is not JSON"),
        ("[" * 200_000, r"is not JSON"),
        ("[]", r"'\[\]' is not an object of fields"),
        (None, r"None is not an object of fields"),
        (12, r"12 is not an object of fields"),
    ]:
        with pytest.raises(OffListError, match=why):
            TASK.match(raw)


# What votes say


def test_the_values_of_units():
    assert TASK.units() == tuple(TASK.fields)
    assert TASK.values("kind") == ("sale", "Wanted", "")
    assert TASK.values("title") is TASK.values("colours") is TASK.values() is None


def test_a_unit_left_open_has_no_value():
    votes = TASK.votes(FULL)
    del votes["title"]
    assert TASK.from_votes(votes) == {k: v for k, v in FULL.items() if k != "title"}
    assert TASK.from_votes({}) == {}


def test_equal_texts_get_the_most_frequent_spelling():
    given_ = {
        name: TASK.votes({"kind": "sale", "title": title, "extras": extras, "model_config": title})
        for name, title, extras in [
            ("a", "A Red Bike!", ["LAMP", "bell"]),
            ("b", "red bike", ["bell", "lamp"]),
            ("c", "red bike", ["bell"]),
            ("d", "blue bike", ["lamp"]),
        ]
    }
    aligned = TASK.align(given_)
    assert [votes["title"] for votes in aligned.values()] == ["red bike"] * 3 + ["blue bike"]
    assert [votes["extras"] for votes in aligned.values()] == ['["bell", "lamp"]'] * 2 + [
        '["bell"]',
        '["lamp"]',
    ]
    assert aligned["a"]["model_config"] == "A Red Bike!"  # a field without rules
    tie = TASK.align(
        {n: TASK.votes({"kind": "sale", "title": t}) for n, t in [("a", "b ike"), ("b", "B ike")]}
    )
    assert {votes["title"] for votes in tie.values()} == {"B ike"}


@slow
@given(st.lists(labels, max_size=4), st.randoms())
def test_aligning_is_idempotent_and_blind_to_the_order_of_annotators(given_, random):
    votes = {str(at): TASK.votes(label) for at, label in enumerate(given_)}
    aligned = TASK.align(votes)
    assert TASK.align(aligned) == aligned
    names = list(votes)
    random.shuffle(names)
    assert TASK.align({name: votes[name] for name in names}) == aligned
    for name, label in zip(votes, given_, strict=True):
        assert TASK.overlap(label, TASK.from_votes(aligned[name])) == (7, 7)


# How labels are compared


@slow
@given(labels, labels)
def test_overlap_is_symmetric_and_whole_for_equal_labels(a, b):
    assert TASK.overlap(a, b) == TASK.overlap(b, a)
    assert TASK.overlap(a, a) == (7, 7)


def test_measures_by_hand():
    gold = [
        {"kind": "sale", "title": "Bike", "price (EUR)": 12},
        {"kind": "Wanted"},
        {"kind": "sale", "extras": ["bell", "lamp"]},
    ]
    given_ = [
        {"kind": "sale", "title": "the bike", "price (EUR)": 13},  # one value wrong
        {"kind": "Wanted", "ends": "2024-01-01"},  # one too many
        {"kind": "sale", "extras": ["Lamp", "bell"]},
    ]
    found = TASK.measure(gold, given_)
    assert list(found.right) == [False, False, True]
    assert list(found.metrics) == ["field_accuracy", "field_f1"]
    assert found.metrics["field_accuracy"].value == pytest.approx(19 / 21)
    assert found.metrics["field_accuracy"].n == 3
    assert found.metrics["field_f1"].value == pytest.approx(2 * 5 / (6 + 7))
    rows = {row.label: (row.support, row.predicted, row.hits) for row in found.labels}
    assert rows["kind"] == (3, 3, 3)
    assert rows["price (EUR)"] == (1, 1, 0)
    assert rows["ends"] == (0, 1, 0)
    assert rows["extras"] == (1, 1, 1)
    assert rows["colours"] == (0, 0, 0)
    assert next(row for row in found.labels if row.label == "colours").f1.value is None


@slow
@given(st.lists(labels, min_size=1, max_size=5))
def test_gold_against_itself_is_right(given_):
    found = TASK.measure(given_, given_)
    assert all(found.right)
    assert found.metrics["field_accuracy"].value == found.metrics["field_f1"].value == 1


def test_measures_of_nothing_are_not_defined():
    found = TASK.measure([], [])
    assert [(e.value, bool(e.why)) for e in found.metrics.values()] == [(None, True)] * 2


# How the parts of a long item make one label


def merged(*given_, task=TASK):
    return task.merge([], [Reading(label) for label in given_]).label


def test_parts_give_their_commonest_value_and_all_entries():
    assert merged(
        {"title": "Bike", "extras": ["bell"]},
        {"kind": "sale", "title": "Car", "extras": ["BELL", "lamp"], "price (EUR)": 5},
        {"kind": "Wanted", "title": "the car", "price (EUR)": 7},
    ) == {"kind": "sale", "title": "Car", "price (EUR)": 5, "extras": ["bell", "lamp"]}
    assert merged({"kind": "sale"}, {}) == {"kind": "sale"}


def test_what_no_part_has_is_missing():
    with pytest.raises(OffListError, match=r"no value for 'kind', which every item has"):
        merged({"title": "Bike"}, {})
    assert merged({}, {}, task=task_of(FIELDS[1:])) == {}


@slow
@given(labels, st.integers(1, 4))
def test_parts_that_agree_make_the_same_label(label, n):
    assert merged(*[label] * n) == label


# What is wrong with a guideline

DOCUMENT = """\
name: g
purpose: p
task: extraction
question: q
fields:
"""


def findings(tmp_path, fields):
    path = tmp_path / "g.yaml"
    path.write_text(DOCUMENT + fields if fields else DOCUMENT.replace("fields:\n", ""), "utf-8")
    return [(f.line, f.level, f.message) for f in check(path) if "example" not in f.message]


def test_a_good_guideline_has_no_findings(tmp_path):
    fields = "- {name: kind, type: enum, definition: d, values: [a, b]}\n- {name: T_1.a-b, definition: d, normalize: [case]}\n"
    assert findings(tmp_path, fields) == []


@pytest.mark.parametrize(
    ("fields", "line", "level", "message"),
    [
        ("", 1, "error", "no fields; write what is looked for in an item"),
        ("- {name: a, definition: d}\n- name: A\n  definition: d\n", 7, "error", "'A' is there twice (first on line 6)"),
        ("- {name: rationale, definition: d}\n", 6, "error", "cannot be called 'rationale'"),
        ("- name: a\n", 6, "warning", "field 'a' has no definition"),
        ("- {name: price (EUR), definition: d}\n", 6, "warning", "'price (EUR)': some providers take no name"),
        (f"- {{name: {'a' * 65}, definition: d}}\n", 6, "warning", "rename it, and put the wording into its def"),
        ("- name: a\n  definition: d\n  type: enum\n", 8, "error", "enum 'a' has no values"),
        ("- name: a\n  definition: d\n  values: [x]\n", 8, "error", "field 'a' is a string with values; make it an enum"),
        ("- {name: a, definition: d, type: enum, values: [x, X]}\n", 6, "error", "field 'a' has the value 'x' twice"),
        ("- name: a\n  definition: d\n  type: date\n  normalize: [case]\n", 9, "error", "only strings and open lists"),
    ],
)  # fmt: skip
def test_each_mistake_is_found_at_its_line(tmp_path, fields, line, level, message):
    found = findings(tmp_path, fields)
    assert [(at, kind) for at, kind, _ in found] == [(line, level)]
    assert message in found[0][2]


# The shipped evalset


def test_the_shipped_gold_is_what_its_guideline_says():
    folder = Path(__file__).resolve().parents[1] / "evalsets" / "small-ads"
    task = make_task(load_guideline(folder / "guideline.yaml"))
    items, gold = ([json.loads(row) for row in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
                   for name in ("items", "gold"))  # fmt: skip
    assert [item["id"] for item in items] == [row["id"] for row in gold]
    for item, row in zip(items, gold, strict=True):
        label, text = row["label"], item["text"]
        assert task.match(label) == read(task.answer(label), task) == label
        copied = [label["thing"], *label.get("extras", ()), label.get("contact", "")]
        assert all(word in text for word in copied), text
        assert all(colour in text.casefold() for colour in label.get("colours", ())), text


# The prompt


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_the_prompt_says_what_each_field_is_and_how_an_answer_looks(prompt):
    task = task_of(abstain="it is no ad")
    config = AnnotatorConfig.model_validate({"name": "a", "model": "m", "prompt": prompt})
    system = make_compiler(task.guideline, task, config, [], Path()).static[0]["content"]
    for line in (
        '- kind (one of "sale", "Wanted"; required)\n',
        "- title (text)\n",
        "- price (EUR) (number)\n",
        "- ends (date as YYYY-MM-DD)\n",
        "- extras (list of texts)\n",
        '- colours (list of some of "red", "blue", "green")\n',
        'Answer with "abstain": true',
        'like {"abstain": false, "kind": "<value>", "title": "<text>" or null, "price (EUR)": <number> or null, ',
        '"ends": "<YYYY-MM-DD>" or null, "extras": ["<text>", ...], "colours": ["<text>", ...], ',
    ):
        assert line in system
