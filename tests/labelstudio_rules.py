"""What an import into Label Studio checks, by the documented rules: one wrong prediction refuses
the file. And one example of each task type."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from prelabel.guideline import Guideline
from prelabel.records import Image, Item
from prelabel.tasks import make_task

KEYS = {
    "Choices": "choices",
    "Taxonomy": "taxonomy",
    "TextArea": "text",
    "Labels": "labels",
    "Rating": "rating",
    "Number": "number",
    "DateTime": "datetime",
}


def errors(xml, task):
    """Return what an import would refuse of a task under a config."""
    view = ET.fromstring(xml)
    objects = {
        tag.get("name"): tag.get("value") for kind in ("Text", "Image") for tag in view.iter(kind)
    }
    controls = {tag.get("name"): tag for tag in view.iter() if tag.tag in KEYS}
    relations = {tag.get("value") for tag in view.iter("Relation")}
    found = [] if len(objects) + len(controls) == len({*objects, *controls}) else ["names"]
    found += [f"toName of {n}" for n, tag in controls.items() if tag.get("toName") not in objects]
    found += [f"no data for {v}" for v in objects.values() if v[1:] not in task["data"]]
    regions = [r for p in task["predictions"] for r in p["result"] if r["type"] != "relation"]
    ids = [region["id"] for region in regions]
    found += ["ids"] if len(ids) != len(set(ids)) else []
    versions = [p["model_version"] for p in task["predictions"]]
    found += ["versions"] if len(versions) != len(set(versions)) else []
    for prediction in task["predictions"]:
        score = prediction["score"]
        found += [] if score is None or 0 <= score <= 1 else [f"score {score}"]
        own = {r.get("id") for r in prediction["result"]} - {None}
        for result in prediction["result"]:
            if result["type"] == "relation":
                found += relation_errors(result, own, relations)
            else:
                found += region_errors(result, objects, controls, task["data"])
        pairs = [
            (r["from_id"], r["to_id"]) for r in prediction["result"] if r["type"] == "relation"
        ]
        found += ["pairs"] if len(pairs) != len(set(pairs)) else []
    return found


def region_errors(result, objects, controls, data):
    if result["from_name"] not in controls:
        return [f"from_name {result['from_name']}"]
    control = controls[result["from_name"]]
    value = result["value"].get(KEYS[control.tag])
    found = [] if result["to_name"] in objects else [f"to_name {result['to_name']}"]
    found += [] if result["to_name"] == control.get("toName") else ["toName"]
    found += [] if result["type"] == control.tag.lower() else [f"type {result['type']}"]
    if control.tag == "Rating":
        return found + ([] if value in range(int(control.get("maxRating")) + 1) else ["rating"])
    if control.tag in {"Number", "DateTime"}:
        return found + (
            []
            if isinstance(value, str if control.tag == "DateTime" else int | float)
            else ["value"]
        )
    found += [] if isinstance(value, list) and value else ["no value"]
    if control.tag == "Labels":
        start, end = result["value"]["start"], result["value"]["end"]
        covered = data[objects[result["to_name"]][1:]][start:end]
        found += [] if covered and covered == result["value"]["text"] else ["covered text"]
    if control.tag == "Taxonomy":
        found += [f"path {path}" for path in value if not has_path(control, path)]
    elif control.tag != "TextArea":
        offered = [option.get("value") for option in control]
        found += [f"choice {choice}" for choice in value if choice not in offered]
    one = control.get("choice") == "single" or control.get("maxSubmissions") == "1"
    return found + (["single"] if one and len(value) > 1 else [])


def has_path(tag, path):
    below = [option for option in tag if option.get("value") == path[0]]
    return bool(below) and (len(path) == 1 or has_path(below[0], path[1:]))


def relation_errors(result, ids, labels):
    found = [f"id {result[end]}" for end in ("from_id", "to_id") if result[end] not in ids]
    found += [] if result["direction"] in {"left", "right", "bi"} else ["direction"]
    return found + [f"relation {label}" for label in result["labels"] if label not in labels]


def task_of(kind, **parts):
    return make_task(Guideline.model_validate({"name": "g", "task": kind} | parts))


def named(*names, **more):
    return [{"name": name, "definition": "d"} | more for name in names]


TEXT = "😀 Ann met Bob\r\nin Łódź & paid 5 € – “fine”, said e\u0301lan\nאבג 🇵🇱."
GIVEN = [
    {"id": "T1", "start": 2, "end": 5, "text": "Ann", "label": "person"},
    {"id": "T2", "start": 10, "end": 13, "text": "Bob", "label": "person"},
    {"id": "T3", "start": 18, "end": 22, "label": "place"},
]


def span(start, end, label, text=TEXT):
    return {"start": start, "end": end, "text": text[start:end], "label": label}


FIELDS = [
    {"name": "price", "type": "number", "required": True},
    {"name": "due date", "type": "date"},
    {"name": "kind", "type": "enum", "values": ["new", "a & b"]},
    {"name": "tags", "type": "list", "values": ["x", "y"]},
    {"name": "words", "type": "list"},
    {"name": "note"},
]

TREE = [
    {"name": "animals", "definition": "d", "labels": named("dogs", "cats")},
    *named("plants", 'say "no" <b>'),
]

CASES = {
    "classification": ({"labels": named("delivery", "R&D <x>")}, ["delivery", "R&D <x>"]),
    "multi-label": ({"labels": named("a", "b;c", "[]")}, [[], ["a"], ["a", "b;c", "[]"]]),
    "hierarchical": ({"labels": TREE}, [["animals", "cats"], ['say "no" <b>']]),
    "spans": (
        {"labels": named("person", "place"), "overlap": "true"},
        [
            [],
            [
                span(2, 5, "person"),
                span(10, 22, "place"),
                span(18, 22, "person"),
                span(18, 22, "place"),
            ],
            [span(0, 1, "person"), span(len(TEXT) - 3, len(TEXT), "place")],
        ],
    ),
    "rating": ({"scale": {"min": "1", "max": "5"}}, [1, 5]),
    "rating from 0": ({"scale": {"min": "0", "max": "100"}}, [0, 57, 100]),
    "rating by halves": ({"scale": {"min": "0", "max": "2", "step": "0.5"}}, [0.5, 2.0]),
    "rating by tenths": ({"scale": {"min": "0", "max": "1", "step": "0.1"}}, [0.3, 0.7]),
    "rating of any number": ({"scale": {"min": "-1", "max": "1", "step": "none"}}, [-0.123, 1.0]),
    "pairwise": ({"tie": "when both are good"}, ["A", "B", "tie"]),
    "extraction": (
        {"fields": FIELDS},
        [
            {"price": 12.5},
            {
                "price": 0,
                "due date": "2024-02-29",
                "kind": "a & b",
                "tags": ["x", "y"],
                "words": ["[]", "“é”"],
                "note": '{"a": 1}',
            },
        ],
    ),
    "matching": ({}, ["match", "no_match"]),
    "relations": (
        {
            "labels": named("knows", "likes") + named("is in", head=["person"], tail=["place"]),
            "given": "entities",
        },
        [
            [],
            [
                {"head": "T1", "label": "is in", "tail": "T3"},
                {"head": "T1", "label": "knows", "tail": "T2"},
                {"head": "T1", "label": "likes", "tail": "T2"},
                {"head": "T2", "label": "knows", "tail": "T1"},
            ],
        ],
    ),
    "text": ({}, ["Paris", '["no list"]', "two\nlines", "[1, 2]", "12"]),
}
"""By name, which begins with the task's: parts of the guideline, and labels."""


def case(name):
    """Return a task and its items, each with its label."""
    parts, labels = CASES[name]
    task = task_of(name.split()[0], **parts)
    fields = {"title": "t", "text": TEXT} | (
        {"entities": json.dumps(GIVEN)} if task.name == "relations" else {}
    )
    images = (Image("photo", "pictures/1.png"), Image("scan", "https://example.org/2.png"))
    items = [Item(f"i{n}", fields, {"n": n}, images) for n in range(len(labels))]
    return task, items, labels
