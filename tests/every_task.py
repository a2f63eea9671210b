"""One small task of each type, an item for it, and any label that it can have."""

from hypothesis import strategies as st

from prelabel.guideline import Guideline
from prelabel.records import Item
from prelabel.tasks import make_task

LABELS = [{"name": name, "definition": name} for name in ("a", "b", "c")]
TREE = [
    {"name": "a", "definition": "a", "labels": [{"name": n, "definition": n} for n in ("x", "y")]},
    {"name": "b", "definition": "b", "labels": [{"name": n, "definition": n} for n in ("x", "z")]},
    {"name": "c", "definition": "c"},
]
FIELDS = [
    {"name": "price", "type": "number"},
    {"name": "day", "type": "date"},
    {"name": "what", "type": "string", "normalize": ["case"]},
    {"name": "kind", "type": "enum", "values": ["a", "b"]},
    {"name": "tags", "type": "list"},
]
GUIDELINES = {
    "classification": {"labels": LABELS},
    "multi-label": {"labels": LABELS},
    "hierarchical": {"labels": TREE},
    "spans": {"labels": LABELS},
    "rating": {"scale": {"min": 1, "max": 5}},
    "pairwise": {"tie": "when both are equally good"},
    "extraction": {"fields": FIELDS},
    "matching": {},
    "relations": {"labels": LABELS},
    "text": {"normalize": ["case"]},
}
TEXT = "Ann met Bob — 😀 Ann saw Z\u0301oe"
GIVEN = [
    {"id": "T1", "start": 0, "end": 3, "text": "Ann", "label": "p"},
    {"id": "T2", "start": 8, "end": 11, "text": "Bob", "label": "p"},
    {"id": "T3", "start": 16, "end": 19, "text": "Ann", "label": "p"},
]
SPANS = [(0, 3), (8, 11), (16, 19), (14, 15)]
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


def task_of(name, **more):
    """Return the small task of a type."""
    return make_task(
        Guideline.model_validate({"name": "g", "task": name, **GUIDELINES[name]} | more)
    )


def item_of(name):
    """Return an item for it."""
    import json

    fields = {
        "pairwise": {"a": "one", "b": "two"},
        "matching": {"left": '{"name": "x"}', "right": '{"name": "y"}'},
        "relations": {"text": TEXT, "spans": json.dumps(GIVEN)},
    }
    return Item("i", fields.get(name, {"text": TEXT}))


def labels_of(task):
    """Return a strategy for the labels that an annotator of the small task may give."""
    single = {
        "classification": ["a", "b", "c"],
        "matching": ["match", "no_match"],
        "pairwise": ["A", "B", "tie"],
        "rating": [1, 2, 3, 4, 5],
        "hierarchical": [["a", "x"], ["a", "y"], ["b", "x"], ["b", "z"], ["c"]],
    }
    if task.name in single:
        return st.sampled_from(single[task.name])
    match task.name:
        case "multi-label":
            chosen = st.lists(st.sampled_from("abc"), unique=True)
            return chosen.map(sorted)
        case "spans":
            return st.lists(st.sampled_from(SPANS), unique=True).flatmap(_labeled_spans)
        case "relations":
            ends = st.sampled_from([("T1", "T2"), ("T2", "T1"), ("T1", "T3"), ("T3", "T2")])
            pairs = st.lists(st.tuples(ends, st.sampled_from("abc")), unique=True)
            return pairs.map(_relations)
        case "extraction":
            return st.fixed_dictionaries(
                {},
                optional={
                    "price": st.integers(-10, 10) | st.sampled_from([0.5, 1200.25]),
                    "day": st.dates().map(str),
                    "what": TEXTS,
                    "kind": st.sampled_from("ab"),
                    "tags": st.lists(TEXTS, min_size=1, max_size=3),
                },
            ).map(task.match)
    return TEXTS.map(task.match)


def _labeled_spans(places):
    return st.tuples(*(st.sampled_from("abc") for _ in places)).map(
        lambda names: [
            {"start": start, "end": end, "text": TEXT[start:end], "label": name}
            for (start, end), name in sorted(zip(places, names, strict=True))
        ]
    )


def _relations(pairs):
    found = [{"head": head, "label": label, "tail": tail} for (head, tail), label in pairs]
    return sorted(found, key=lambda one: (one["head"], one["label"], one["tail"]))
