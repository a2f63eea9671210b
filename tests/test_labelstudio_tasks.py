"""Label Studio with every task type: what is exported passes an import, and comes back."""

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_rules import CASES, FIELDS, GIVEN, TEXT, case, errors, named, span, task_of

from prelabel.errors import InputError
from prelabel.exchange.labelstudio import (
    CONSENSUS,
    CONTROL,
    config,
    read_annotations,
    tasks,
    write_tasks,
)
from prelabel.exchange.labelstudio.regions import from_utf16
from prelabel.records import Annotation, Consensus, Item, Routed
from prelabel.tasks import OffListError


def exported(task, items, labels, images=(), fields=None, **settings):
    said = {
        item.id: [Annotation(item.id, item.hash, "f1", "g", "labeled", label)]
        for item, label in zip(items, labels, strict=True)
        if label is not None
    }
    return list(
        tasks(
            items,
            task=task,
            fields=fields or list(items[0].fields),
            images=images,
            routed={},
            annotations=said,
            names={"f1": "m"},
            **settings,
        )
    )


def accepted(tmp_path, found, task, change=None, **settings):
    """Read what people submit who accept the first prediction of each task."""
    for one in found:
        results = json.loads(json.dumps(one["predictions"][0]["result"]))
        one["annotations"] = [{"result": change(results) if change else results}]
    write_tasks(tmp_path / "export.json", found)
    return [one.label_raw for one in read_annotations(tmp_path / "export.json", task, **settings)]


@pytest.mark.parametrize("images", [(), ("photo", "scan")])
@pytest.mark.parametrize("name", CASES)
def test_exports_pass_the_checks_of_an_import(name, images):
    task, items, labels = case(name)
    xml = config(task, fields=list(items[0].fields), images=images, items=items)
    found = exported(task, items, labels, images)
    assert [errors(xml, one) for one in found] == [[] for _ in items]
    assert [one["data"].get("scan") for one in found] == [
        "https://example.org/2.png" if images else None for _ in items
    ]


@pytest.mark.parametrize("name", CASES)
def test_what_was_exported_comes_back(tmp_path, name):
    task, items, labels = case(name)
    raw = accepted(tmp_path, exported(task, items, labels), task)
    assert [task.match(one, item) for one, item in zip(raw, items, strict=True)] == labels


@pytest.mark.parametrize("name", CASES)
def test_an_export_is_the_same_again(name):
    task, items, labels = case(name)
    assert exported(task, items, labels) == exported(task, items, labels)
    fields = list(items[0].fields)
    again = task_of(task.name, **CASES[name][0])
    assert config(task, fields=fields, items=items) == config(
        again, fields=fields, items=items[::-1]
    )


@pytest.mark.parametrize("name", CASES)
def test_nothing_submitted(tmp_path, name):
    task, items, labels = case(name)
    [raw] = accepted(tmp_path, exported(task, items[:1], labels[:1]), task, lambda _: [])
    assert not raw
    if task.name in {"multi-label", "spans", "relations"}:
        assert task.match(raw, items[0]) == []
    else:
        with pytest.raises(OffListError):
            task.match(raw, items[0])


def test_the_consensus_comes_first_with_its_agreement():
    task, items, labels = case("extraction")
    voted = {
        items[1].id: Routed(items[1].id, Consensus(items[1].id, labels[1], 0.5, 2), accepted=False)
    }
    [one] = tasks(items[1:], task=task, fields=["text"], routed=voted, annotations={}, names={})
    [prediction] = one["predictions"]
    assert (prediction["model_version"], prediction["score"]) == (CONSENSUS, 0.5)
    values = {r["from_name"].removeprefix(f"{CONTROL}_"): r["value"] for r in prediction["result"]}
    assert values.pop("f682cc05") == {"datetime": "2024-02-29"}
    assert values == {
        "price": {"number": 0},
        "kind": {"choices": ["a & b"]},
        "tags": {"choices": ["x", "y"]},
        "words": {"text": ["[]", "“é”"]},
        "note": {"text": ['{"a": 1}']},
    }


def test_an_annotators_own_probability_of_a_path():
    task, [item, _], [label, _] = case("hierarchical")
    own = {"1": {"animals": 0.75, "plants": 0.25}, "2": {"animals > cats": 0.5, "": 0.25}}
    said = {item.id: [Annotation(item.id, "h", "f1", "g", "labeled", label, distribution=own)]}
    [one] = tasks([item], task=task, fields=["text"], routed={}, annotations=said, names={})
    assert one["predictions"][0]["score"] == 0.5


# Scales, comparisons, pictures


@pytest.mark.parametrize(
    ("scale", "tag", "attributes"),
    [
        ({"min": "1", "max": "10"}, "Rating", {"maxRating": "10"}),
        ({"min": "1", "max": "11"}, "Number", {"min": "1", "max": "11", "step": "1"}),
        ({"min": "0", "max": "5"}, "Number", {"min": "0", "max": "5", "step": "1"}),
        ({"min": "1", "max": "5", "step": "2"}, "Number", {"min": "1", "max": "5", "step": "2"}),
        (
            {"min": "-1", "max": "1", "step": "0.25"},
            "Number",
            {"min": "-1", "max": "1", "step": "0.25"},
        ),
        # (0.3 - 0) % 0.1 is not 0 in floats: the editor would refuse 0.3
        ({"min": "0", "max": "1", "step": "0.1"}, "Number", {"min": "0", "max": "1"}),
        ({"min": "0.5", "max": "9", "step": "none"}, "Number", {"min": "0.5", "max": "9"}),
    ],
)
def test_scales(scale, tag, attributes):
    view = ET.fromstring(config(task_of("rating", scale=scale), fields=["text"]))
    [control] = view.iter(tag)
    assert dict(control.attrib) == attributes | {
        "name": CONTROL,
        "toName": "text",
        "required": "true",
    }


def test_a_comparison_says_which_text_is_which():
    task = task_of("pairwise")
    xml = config(task, fields=["request", "one", "other"])
    headers = [tag.get("value") for tag in ET.fromstring(xml).iter("Header")]
    assert headers == ["request", "A: one", "B: other"]
    assert 'value="tie"' not in xml
    with pytest.raises(InputError, match="a comparison needs two text fields; name both"):
        config(task, fields=["one"])


def test_pictures_alone():
    task, items, _ = case("classification")
    xml = config(task, fields=[], images=["photo"])
    assert '<Image name="photo" value="$photo"/>' in xml
    assert f'<Choices name="{CONTROL}" toName="photo"' in xml
    [one] = tasks(
        items[:1], task=task, fields=[], images=["photo"], routed={}, annotations={}, names={}
    )
    assert one["data"]["photo"] == "pictures/1.png"
    [one] = tasks(
        [Item("i", {})], task=task, fields=[], images=["photo"], routed={}, annotations={}, names={}
    )
    assert one["data"]["photo"] == ""


def test_names_of_an_extractions_tags_do_not_depend_on_their_order(tmp_path):
    task, items, labels = case("extraction")
    found = exported(task, items, labels)
    turned = task_of("extraction", fields=FIELDS[::-1])
    back = accepted(tmp_path, found, turned)
    assert [turned.match(one) for one in back] == labels


def test_labels_that_cannot_be_said():
    for task in (
        task_of(
            "hierarchical", labels=[{"name": "a", "definition": "d", "labels": named("$x", "b")}]
        ),
        task_of("extraction", fields=[{"name": "$x"}]),
        task_of("extraction", fields=[{"name": "a", "type": "enum", "values": ["$x"]}]),
        task_of("spans", labels=named("$x")),
    ):
        with pytest.raises(InputError, match=r"label '\$x' would be read as a variable"):
            config(task, fields=["text"])


def test_answers_of_another_shape(tmp_path):
    task, items, labels = case("text")

    def older(results):  # a plain text, as versions before 1.0 wrote it
        results[0]["value"]["text"] = results[0]["value"]["text"][0]
        return results

    assert accepted(tmp_path, exported(task, items, labels), task, older) == labels
    matching, items, labels = case("matching")
    found = exported(matching, items[:1], labels[:1])
    other = {"value": {"choices": ["no_match"]}}
    [raw] = accepted(tmp_path, found, matching, lambda r: [*r, r[0] | other])
    with pytest.raises(OffListError, match="'match', 'no_match'"):
        matching.match(raw)
    rating, items, labels = case("rating")
    found = exported(rating, items, labels)
    with pytest.raises(InputError, match="its rating are not as Label Studio writes them"):
        accepted(tmp_path, found, rating, lambda r: [r[0] | {"value": {"number": 4}}])


def test_tags_that_are_not_there(tmp_path):
    task, items, labels = case("extraction")
    found = exported(task, items, labels)
    assert accepted(tmp_path, found, task, control=None)
    with pytest.raises(InputError, match=r"of tag 'mine'; it has 'prelabel_label_"):
        accepted(tmp_path, found, task, control="mine")


# Offsets

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
