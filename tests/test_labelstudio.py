import collections
import gzip
import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelstudio_rules import errors, named, task_of

from prelabel.errors import InputError
from prelabel.exchange.labelstudio import (
    CONSENSUS,
    CONTROL,
    ImportedLabel,
    config,
    read_annotations,
    tasks,
    write_tasks,
)
from prelabel.records import Adjudication, Annotation, Consensus, Item, Routed

GOLDEN = Path(__file__).parent / "golden"
NAMES = {"f1": "gpt-x", "f2": "local/small", "f3": "people"}
LABELS = ("delivery", "R&D <x>", 'say "no"')


def labeling(multi=False, labels=LABELS):
    return task_of("multi-label" if multi else "classification", labels=named(*labels))


def annotation(item_id, annotator, outcome="labeled", label=None, **more):
    return Annotation(item_id, "h", annotator, "g", outcome, label, **more)


def routed(item_id, label, agreement=1.0, votes=3):
    return Routed(item_id, Consensus(item_id, label, agreement, votes), accepted=True)


def example(multi=False):
    wrap = (lambda *labels: list(labels)) if multi else (lambda *labels: labels[0])
    items = [
        Item("a", {"text": 'Where is "it" & why <b>?', "subject": "שלום 🙂"}, {"channel": "mail"}),
        Item("b", {"text": "$text\nline", "subject": ""}),
        Item("c", {"text": "nobody"}),
    ]
    shares = {"delivery": 0.75, "R&D <x>": 0.25}
    own = {u: {True: p, False: 1 - p} for u, p in shares.items()} if multi else {"": shares}
    said = {
        "a": [
            annotation("a", "f1", label=wrap("R&D <x>"), created=1.0),
            annotation("a", "f1", label=wrap("delivery"), created=2.0, distribution=own),
            annotation("a", "f2", "failed", failure="timeout"),
            annotation("a", "f3", label=wrap("R&D <x>", "delivery")),
        ],
        "b": [annotation("b", "f1", "abstained"), annotation("b", "f2", label=wrap("delivery"))],
    }
    if multi:
        said["c"] = [annotation("c", "f1", label=[])]
    voted = {"a": routed("a", wrap("delivery"), 2 / 3), "b": routed("b", None, None, 0)}
    if multi:
        voted["c"] = routed("c", [])
    return items, voted, said


def exported(multi=False, fields=("text", "subject")):
    items, voted, said = example(multi)
    found = tasks(
        items, task=labeling(multi), fields=fields, routed=voted, annotations=said, names=NAMES
    )
    return list(found)


def labels_of(task):
    return {
        p["model_version"]: [c for r in p["result"] for c in r["value"]["choices"]]
        for p in task["predictions"]
    }


@pytest.mark.parametrize("multi", [False, True])
def test_golden(tmp_path, multi):
    kind = "multi" if multi else "single"
    xml = config(labeling(multi), fields=["text", "subject"])
    write_tasks(tmp_path / "tasks.json", exported(multi))
    written = {".xml": xml.encode(), ".json": (tmp_path / "tasks.json").read_bytes()}
    for suffix, content in written.items():
        golden = GOLDEN / f"labelstudio_{kind}{suffix}"
        if os.environ.get("UPDATE_GOLDEN"):
            golden.write_bytes(content)
        assert content == golden.read_bytes()


@pytest.mark.parametrize("multi", [False, True])
def test_exports_pass_the_checks_of_an_import(multi):
    xml = config(labeling(multi), fields=["text", "subject"])
    assert [errors(xml, task) for task in exported(multi)] == [[], [], []]
    lacking = config(labeling(multi, ["delivery"]), fields=["text", "subject"])
    assert "choice R&D <x>" in errors(lacking, exported(multi)[0])
    assert errors(config(labeling(multi), fields=["subject", "text"]), exported(multi)[0])


@pytest.mark.parametrize("multi", [False, True])
def test_what_people_settled_is_an_annotation_that_reads_back(tmp_path, multi):
    items, voted, said = example(multi)
    labels = {"a": ["delivery"] if multi else "delivery", "b": None}
    settled = {i: Adjudication(i, label, "ada", "", "", 0.0) for i, label in labels.items()}
    shown = {"fields": ("text", "subject"), "names": NAMES, "settled": settled}
    found = list(tasks(items, task=labeling(multi), routed=voted, annotations=said, **shown))
    assert [len(task.get("annotations", ())) for task in found] == [1, 0, 0]
    xml = config(labeling(multi), fields=["text", "subject"])
    (made,) = found[0]["annotations"]
    as_prediction = {"model_version": "settled", "score": None, "result": made["result"]}
    whole = found[0] | {"predictions": [*found[0]["predictions"], as_prediction]}
    assert errors(xml, whole) == []
    write_tasks(tmp_path / "tasks.json", [{"annotations": []} | task for task in found])
    back = list(read_annotations(tmp_path / "tasks.json", labeling(multi)))
    assert [(one.item_id, one.label_raw) for one in back] == [("a", labels["a"])]


def test_what_a_task_holds():
    first, second, third = exported()
    assert first["data"] == {
        "text": 'Where is "it" & why <b>?',
        "subject": "שלום 🙂",
        "prelabel_id": "a",
        "prelabel_meta": {"channel": "mail"},
    }
    assert labels_of(first) == {
        CONSENSUS: ["delivery"],
        "gpt-x": ["delivery"],
        "people": ["R&D <x>"],
    }
    assert next(iter(labels_of(first))) == CONSENSUS
    assert [p["score"] for p in first["predictions"]] == [2 / 3, 0.75, None]
    assert labels_of(second) == {"local/small": ["delivery"]}
    assert third == {
        "data": {"text": "nobody", "subject": "", "prelabel_id": "c"},
        "predictions": [],
    }


def test_multi_label():
    first, _, third = exported(multi=True)
    assert labels_of(first)["people"] == ["R&D <x>", "delivery"]
    # "delivery" alone: P(delivery) = .75 and P(not R&D) = .75
    assert first["predictions"][1]["score"] == 0.75
    assert labels_of(third) == {CONSENSUS: [], "gpt-x": []}


def test_scores_that_are_none():
    cases = [
        (None, None),
        ({"": {"x": 0.2}}, 0.2),
        ({"": {"y": 0.2}}, None),
        ({"": {"x": float("nan")}}, None),
        ({"": {"x": 1.0000001}}, 1.0),
    ]
    for distribution, score in cases:
        said = {"a": [annotation("a", "f1", label="x", distribution=distribution)]}
        item = Item("a", {"text": "x"})
        [task] = tasks(
            [item],
            task=labeling(labels=["x", "y"]),
            fields=["text"],
            routed={},
            annotations=said,
            names=NAMES,
        )
        assert task["predictions"][0]["score"] == score


def test_ids_are_stable_and_unlike_over_the_whole_file():
    one = exported()
    items, voted, said = example()
    back = {item_id: list(reversed(each)) for item_id, each in said.items()}
    two = tasks(
        items,
        task=labeling(),
        fields=("text", "subject"),
        routed=voted,
        annotations=back,
        names=NAMES,
    )
    assert json.dumps(one) == json.dumps(list(two))
    ids = collections.Counter(r["id"] for t in one for p in t["predictions"] for r in p["result"])
    assert set(ids.values()) == {1}


printable = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cn"], blacklist_characters="$"), min_size=1
).filter(lambda text: text.strip())


field_names = printable.filter(lambda name: not name.startswith("prelabel_"))


@given(st.lists(printable, min_size=1, unique=True), st.lists(field_names, min_size=1, unique=True))
def test_any_names_give_a_config_that_reads_back(labels, fields):
    task = labeling(True, labels)
    view = ET.fromstring(config(task, fields=fields))
    assert [c.get("value") for c in view.iter("Choice")] == list(task.guideline.label_names)
    texts = list(view.iter("Text"))
    assert len({text.get("value") for text in texts}) == len(fields)
    assert all(text.get("value") == f"${text.get('name')}" for text in texts)
    item = Item("a", {name: f"text of {name}" for name in fields})
    [out] = tasks([item], task=task, fields=fields, routed={}, annotations={}, names={})
    shown = [out["data"][text.get("value")[1:]] for text in texts]
    assert shown == [f"text of {name}" for name in fields]


@pytest.mark.parametrize(
    ("labels", "fields", "expected"),
    [
        (["$5"], ["text"], "label '$5' would be read as a variable; rename it without the $"),
        (["a\x07"], ["text"], r"label 'a\x07' has a control character; rename it"),
        (["a"], ["b\x00"], r"field 'b\x00' has a control character; rename it"),
        (["a"], ["prelabel_id"], "field 'prelabel_id' has a name in use; rename the field"),
        (["a"], [CONTROL], f"field '{CONTROL}' has a name in use; rename the field"),
        (["a"], ["x", "x"], "field 'x' has a name in use; rename the field"),
        (["a"], [], "no fields to show; name the items' text field"),
    ],
)
def test_refused_names(labels, fields, expected):
    with pytest.raises(InputError) as caught:
        config(labeling(labels=labels), fields=fields)
    assert str(caught.value) == f"Label Studio: {expected}"


def test_two_annotators_of_one_name():
    items, voted, said = example()
    names = {"f1": "same", "f2": "other", "f3": "same"}
    found = tasks(
        items, task=labeling(), fields=["text"], routed=voted, annotations=said, names=names
    )
    with pytest.raises(InputError, match="item 'a' has two annotators named 'same'; rename one"):
        list(found)


# Reading


def submitted(labels, author=7, created="2026-01-02T03:04:05.5Z", control=CONTROL, **more):
    value = {"choices": labels}
    result = {"id": "x", "from_name": control, "to_name": "text", "type": "choices", "value": value}
    return {
        "id": 1,
        "completed_by": author,
        "created_at": created,
        "result": [result] if labels else [],
        "was_cancelled": False,
        **more,
    }


def read(tmp_path, *annotations, name="export.json", multi=True, **settings):
    found = [
        {"id": 40 + n, "data": {"text": "t", "prelabel_id": f"i{n}"}, "annotations": list(each)}
        for n, each in enumerate(annotations)
    ]
    for task in found:
        task["predictions"] = [286]
    raw = json.dumps(found).encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return list(read_annotations(tmp_path / name, labeling(multi), **settings))


@pytest.mark.parametrize("name", ["export.json", "export.json.gz"])
def test_read_back(tmp_path, name):
    who = {"id": 3, "email": "ann@example.org", "first_name": "Ann"}
    found = read(
        tmp_path,
        [submitted(["a", "b"]), submitted(["a"], who, created="2026-01-02T03:04:05")],
        [submitted(["a"], was_cancelled=True), submitted([], {"id": 4, "email": ""})],
        [],
        [submitted(["é 🙂"], None, created=None)],
        name=name,
    )
    assert found == [
        ImportedLabel("i0", ["a", "b"], "7", 1767323045.5),
        ImportedLabel("i0", ["a"], "ann@example.org", 1767323045.0),
        ImportedLabel("i1", [], "4", 1767323045.5),
        ImportedLabel("i3", ["é 🙂"], "", 0.0),
    ]


def test_other_results_are_left_aside(tmp_path):
    one = submitted(["a"])
    one["result"] += [
        {"type": "relation", "from_id": "x", "to_id": "y", "direction": "right"},
        {"type": "textarea", "from_name": "why", "to_name": "text", "value": {"text": ["b"]}},
    ]
    assert [found.label_raw for found in read(tmp_path, [one])] == [["a"]]


def test_one_label_is_no_list(tmp_path):
    found = read(tmp_path, [submitted(["a"]), submitted([]), submitted(["a", "b"])], multi=False)
    assert [one.label_raw for one in found] == ["a", None, ["a", "b"]]


def test_several_controls(tmp_path):
    both = submitted(["a"])
    both["result"] += submitted(["hard"], control="effort")["result"]
    assert [found.label_raw for found in read(tmp_path, [both])] == [["a"]]
    assert [found.label_raw for found in read(tmp_path, [both], control="effort")] == [["hard"]]
    with pytest.raises(InputError, match=r"no choices of tag 'label'; it has 'effort', 'pre"):
        read(tmp_path, [both], control="label")


def test_tags_of_a_config_made_by_hand(tmp_path):
    one, other = submitted(["a"], control="mine"), submitted(["b"], control="effort")
    assert [found.label_raw for found in read(tmp_path, [one])] == [["a"]]
    with pytest.raises(InputError, match=r"choices of several tags \('effort', 'mine'\); name one"):
        read(tmp_path, [one, other])
    assert [found.label_raw for found in read(tmp_path, [one, other], control="mine")] == [
        ["a"],
        [],
    ]


def test_what_was_exported_comes_back(tmp_path):
    """A person who accepts every prediction gives the labels that were exported."""
    found = exported(multi=True)
    for task in found:
        task["annotations"] = [{"result": p["result"]} for p in task["predictions"]]
    write_tasks(tmp_path / "tasks.json", found)
    read_back = read_annotations(tmp_path / "tasks.json", labeling(True))
    assert [(one.item_id, one.label_raw) for one in read_back] == [
        (t["data"]["prelabel_id"], labels) for t in found for labels in labels_of(t).values()
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[\n{"id": ]', "export.json:2: not JSON (Expecting value); export as JSON from Label Stu"),
        ("{}", "export.json: not a list of tasks; export as JSON from Label Studio"),
        (
            '[{"text": "x", "choice": "a"}]',
            "export.json: task 1 has no list of annotations; export",
        ),
        ("[7]", "export.json: task 1 has no list of annotations; export as JSON, not as JSON-MIN"),
        (
            '[{"annotations": [5]}]',
            "export.json: task 1 has no list of annotations; export as JSON",
        ),
        (
            '[{"id": 9, "data": {}, "annotations": []}]',
            "export.json: task 9: no prelabel_id in its",
        ),
        ('[{"id": 9, "annotations": []}]', "export.json: task 9: no prelabel_id in its data; imp"),
        ("", "export.json:1: not JSON (Expecting value); export"),
    ],
)
def test_refused_exports(tmp_path, content, expected):
    (tmp_path / "export.json").write_text(content)
    with pytest.raises(InputError) as caught:
        list(read_annotations(tmp_path / "export.json", labeling()))
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(expected)
    assert "\n" not in str(caught.value)


def test_refused_annotations(tmp_path):
    with pytest.raises(InputError, match="task 40: its choices are not as Label Studio wr"):
        read(tmp_path, [submitted("a")])
    with pytest.raises(InputError, match="task 40: created_at 'soon' is not a time"):
        read(tmp_path, [submitted(["a"], created="soon")])
    with pytest.raises(InputError, match="no such file"):
        list(read_annotations(tmp_path / "nowhere.json", labeling()))


def test_no_tasks(tmp_path):
    assert write_tasks(tmp_path / "tasks.json", []) == 0
    assert list(read_annotations(tmp_path / "tasks.json", labeling())) == []
