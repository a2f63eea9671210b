"""Spans and relations in Label Studio: offsets in any unit, given spans, arrows."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_rules import CASES, GIVEN, TEXT, case, errors, named, span, task_of
from test_labelstudio_tasks import accepted, exported

from prelabel.errors import InputError
from prelabel.exchange.labelstudio import config
from prelabel.exchange.labelstudio.regions import from_utf16
from prelabel.records import Item
from prelabel.tasks import OffListError

texts = st.text(st.sampled_from("ab \r\né😀𝔸\u200d🇵אe\u0301"), min_size=1)
places = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=5)


def units(text):
    return len(text.encode("utf-16-le")) // 2


@given(texts)
def test_utf16_units_are_converted(text):
    for at in range(len(text) + 1):
        assert from_utf16(text, units(text[:at])) == at
    starts = {units(text[:at]) for at in range(len(text) + 1)}
    for at in range(units(text) + 3):
        assert (from_utf16(text, at) is None) == (at not in starts)


@settings(max_examples=60)
@given(text=texts, places=places, as_utf16=st.booleans(), covered=st.booleans())
def test_spans_come_back(tmp_path_factory, text, places, as_utf16, covered):
    task = task_of("spans", labels=named("a"), overlap="true")
    inside = {(start % len(text), min(start % len(text) + n, len(text))) for start, n in places}
    label = [span(start, end, "a", text) for start, end in sorted(inside)]
    item = Item("i", {"text": text})

    def edited(results):
        """Rewrite the values as the editor does, or as it did when it counted UTF-16 units."""
        for result in results:
            value = result["value"]
            if as_utf16:
                value |= {key: units(text[: value[key]]) for key in ("start", "end")}
            value["text"] = value["text"].replace("\r", "\\n").replace("\n", "\\n")
            if not covered and not as_utf16:
                del value["text"]
        return results

    back = accepted(tmp_path_factory.mktemp("ls"), exported(task, [item], [label]), task, edited)[0]
    if not as_utf16 or units(text) == len(text):
        assert task.match(back, item) == label
    try:
        matched = task.match(back, item)
    except OffListError:
        assert as_utf16
    else:  # whatever the unit, a span never has a text that is not there
        assert all(one["text"] == text[one["start"] : one["end"]] for one in matched)


def test_offsets_in_utf16_units(tmp_path):
    """The case of the upstream report: an emoji, and offsets one too far."""
    text = "💩This is an annotation."
    task, item = task_of("spans", labels=named("x")), Item("i", {"text": text})
    label = [span(12, 22, "x", text)]
    found = exported(task, [item], [label])

    def older(results):
        results[0]["value"] |= {"start": 13, "end": 23}
        return results

    assert accepted(tmp_path, found, task, older) == [label]


def test_a_text_that_is_not_at_its_offsets_is_refused(tmp_path):
    task, [item, *_], _ = case("spans")
    found = exported(task, [item], [[span(2, 5, "person")]])

    def moved(results):
        results[0]["value"] |= {"start": 4, "end": 7}
        return results

    [raw] = accepted(tmp_path, found, task, moved)
    with pytest.raises(OffListError, match="span 4 to 7 is 'n m', not 'Ann'"):
        task.match(raw, item)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"to_name": "body"}, "its spans are on tag 'body', and the task's data has no text of"),
        ({"value": {"start": "/p[1]", "end": 3, "labels": ["a"]}}, "has a span without start, end"),
        ({"value": {"start": 0, "end": 3}}, "has a span without start, end and labels; export it"),
        ({"value": None}, "has a span without start, end and labels; export it again"),
    ],
)
def test_refused_regions(tmp_path, change, expected):
    task, items, labels = case("spans")
    found = exported(task, items[1:2], labels[1:2])
    with pytest.raises(InputError, match=expected):
        accepted(tmp_path, found, task, lambda results: [results[0] | change])


# Relations


def relating(tmp_path, change, labels=None):
    task, items, both = case("relations")
    found = exported(task, items[1:], labels or both[1:])
    [raw] = accepted(tmp_path, found, task, change)
    return task, items[1], raw


def test_given_spans_without_a_label_are_there_to_be_related(tmp_path):
    task, items, _ = case("relations")
    [one] = exported(task, items[:1], [None])
    [prediction] = one["predictions"]
    assert prediction["model_version"] == "prelabel-given"
    assert [r["value"]["text"] for r in prediction["result"]] == ["Ann", "Bob", "Łódź"]
    assert one["data"]["prelabel_given"][2]["text"] == "Łódź"
    assert "entities" not in one["data"]
    assert errors(config(task, fields=["text", "entities"], items=items), one) == []
    assert "annotations" not in one


def test_arrows(tmp_path):
    label = [{"head": "T1", "label": "knows", "tail": "T2"}]
    turned = {"head": "T2", "label": "knows", "tail": "T1"}
    for direction, expected in (("right", label), ("left", [turned]), ("bi", [*label, turned])):
        _, _, raw = relating(
            tmp_path,
            lambda results, d=direction: [*results[:-1], results[-1] | {"direction": d}],
            [label],
        )
        assert raw == expected


def test_relations_that_the_task_refuses(tmp_path):
    def unlabeled(results):
        return [*results[:-1], {**results[-1], "labels": []}]

    task, item, raw = relating(tmp_path, unlabeled)
    with pytest.raises(OffListError):
        task.match(raw, item)

    def moved(results):
        results[0]["value"] |= {"start": 0, "end": 1, "text": "😀"}
        return results

    task, item, raw = relating(tmp_path, moved)
    with pytest.raises(OffListError, match="no span '0 to 1'"):
        task.match(raw, item)

    def torn(results):
        return results[1:]

    with pytest.raises(InputError, match="a relation's span is missing; export it again"):
        relating(tmp_path, torn)


def test_a_given_span_with_another_label_is_still_that_span(tmp_path):
    def renamed(results):
        results[0]["value"]["labels"] = ["place"]
        return results

    task, item, raw = relating(tmp_path, renamed)
    assert task.match(raw, item) == CASES["relations"][1][1]


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        ("", "field 'entities' is no JSON list of spans with id, start and end in the text"),
        ("7", "field 'entities' is no JSON list of spans"),
        ('["T1"]', "field 'entities' is no JSON list of spans"),
        ('[{"id": "T1", "text": "Ann"}]', "field 'entities' is no JSON list of spans"),
        ('[{"id": "T1", "start": 2, "end": 5, "text": "Bob"}]', "is no JSON list of spans"),
        ('[{"id": "T1", "start": 2, "end": 999}]', "field 'entities' is no JSON list of spans"),
        (
            json.dumps([GIVEN[0], GIVEN[0] | {"id": "T9"}]),
            "given spans 'T1' and 'T9' have one place",
        ),
    ],
)
def test_refused_given_spans(entities, expected):
    task, *_ = case("relations")
    item = Item("i", {"text": TEXT, "entities": entities})
    with pytest.raises(InputError, match=f"item 'i': .*{expected}"):
        exported(task, [item], [[]])
    with pytest.raises(InputError, match=expected):
        config(task, fields=["text", "entities"], items=[item])
