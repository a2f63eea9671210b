"""Label Studio with every task type: what is exported passes an import, and comes back."""

import json
import xml.etree.ElementTree as ET

import pytest
from labelstudio_rules import CASES, FIELDS, case, errors, named, task_of

from prelabel.errors import InputError
from prelabel.exchange.labelstudio import (
    CONSENSUS,
    CONTROL,
    config,
    read_annotations,
    tasks,
    write_tasks,
)
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
def test_a_config_is_the_same_again(name):
    task, items, _ = case(name)
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


def test_several_accepted_answers(tmp_path):
    task, items, _ = case("text")
    found = exported(task, items[:1], [["8", "8 years"]])
    assert found[0]["predictions"][0]["result"][0]["value"] == {"text": ["8", "8 years"]}
    assert accepted(tmp_path, found, task) == [["8", "8 years"]]


def test_tags_that_are_not_there(tmp_path):
    task, items, labels = case("extraction")
    found = exported(task, items, labels)
    assert accepted(tmp_path, found, task, control=None)
    with pytest.raises(InputError, match=r"of tag 'mine'; it has 'prelabel_label_"):
        accepted(tmp_path, found, task, control="mine")
