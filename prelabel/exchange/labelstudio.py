"""Label Studio: a project's config and pre-labeled tasks out, people's annotations back.

Format: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions. An
import is refused whole if one prediction names a tag or a choice that the config lacks.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import quoteattr

from prelabel.errors import InputError
from prelabel.exchange.files import read_lines, replacing
from prelabel.exchange.tables import jsonable
from prelabel.records import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prelabel.records import Annotation, Item, Routed

CONTROL = "prelabel_label"
"""Name of the ``Choices`` tag; no field is called so."""

CONSENSUS = "prelabel-consensus"
"""The model version under which the consensus stands."""

_ID, _META = "prelabel_id", "prelabel_meta"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\$\w")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ImportedLabel(NamedTuple):
    """What a person chose for one item: all labels, none if the person submitted no choice.

    ``author`` is an e-mail address or user id, ``created`` in seconds since 1970 (0 if unknown).
    """

    item_id: str
    labels: list[str]
    author: str
    created: float


def config(labels: Sequence[str], *, multi: bool, fields: Sequence[str]) -> str:
    """Return the labeling config (XML) that shows ``fields`` and offers ``labels`` in their order.

    Raises:
        InputError: a label or field cannot be said in such a config.

    """
    keys = _data_keys(fields)
    lines = ["<View>"]
    for name, key in keys.items():
        if len(keys) > 1:
            lines.append(f"  <Header value={quoteattr(name)}/>")
        lines.append(f'  <Text name="{key}" value="${key}"/>')
    shown = next(iter(keys.values()))
    choice, required = ("multiple", "false") if multi else ("single", "true")
    lines.append(
        f'  <Choices name="{CONTROL}" toName="{shown}" choice="{choice}" required="{required}" '
        'showInline="true">'
    )
    for label in labels:
        _check_label(label)
        lines.append(f"    <Choice value={quoteattr(label)}/>")
    return "\n".join([*lines, "  </Choices>", "</View>"]) + "\n"


def tasks(
    items: Iterable[Item],
    *,
    fields: Sequence[str],
    routed: Mapping[str, Routed],
    annotations: Mapping[str, Sequence[Annotation]],
    names: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Yield one Label Studio task an item, pre-labeled; the same facts give the same bytes.

    The first prediction is the consensus, its score the agreement; then one for each annotator
    that labeled the item, its score what the annotator said of its label, null if nothing.

    Args:
        items: what to export.
        fields: the fields that `config` was given.
        routed: the consensus, by item id.
        annotations: by item id; of one annotator the last counts.
        names: display names, by annotator fingerprint.

    Raises:
        InputError: a field's name is taken, or two annotators have one name.

    """
    keys = _data_keys(fields)
    for item in items:
        data: dict[str, Any] = {key: item.fields.get(name, "") for name, key in keys.items()}
        data[_ID] = item.id
        if item.meta:
            data[_META] = jsonable(item.meta)
        shown = next(iter(keys.values()))
        predictions = _predictions(item, routed.get(item.id), annotations.get(item.id, ()), names)
        yield {
            "data": data,
            "predictions": [
                _prediction(item.id, version, label, score, shown)
                for version, label, score in predictions
            ],
        }


def write_tasks(path: Path, exported: Iterable[Mapping[str, Any]]) -> int:
    """Write tasks as the JSON file that Label Studio imports; return how many.

    Raises:
        InputError: the file cannot be written there.

    """
    count = 0
    with replacing(path) as stream:
        for task in exported:
            stream.write(b",\n" if count else b"[\n")
            stream.write(json.dumps(task, ensure_ascii=False, allow_nan=False).encode())
            count += 1
        stream.write(b"\n]\n" if count else b"[]\n")
    return count


def read_annotations(path: Path, *, control: str | None = None) -> Iterator[ImportedLabel]:
    """Yield what people chose, from Label Studio's JSON export; skipped tasks are left out.

    Args:
        path: the export (the format named JSON, not JSON-MIN); may end in .gz.
        control: the ``Choices`` tag to read; the only one there is if None.

    Raises:
        InputError: not such an export, a task without ``prelabel_id``, or several ``Choices``
            tags and no ``control``.

    """
    exported = _load(path)
    controls = _controls(exported)
    if control is None and len(controls) > 1:
        there = ", ".join(repr(name) for name in sorted(controls))
        raise InputError(f"{path}: has choices of several tags ({there}); name one as control")
    if control is not None and controls and control not in controls:
        there = ", ".join(repr(name) for name in sorted(controls))
        raise InputError(f"{path}: has no choices of tag {control!r}; it has {there}")
    for number, task in enumerate(exported, 1):
        place = f"{path}: task {task.get('id', number)}"
        item_id = _item_id(task, place)
        for annotation in task["annotations"]:
            if annotation.get("was_cancelled"):
                continue
            labels: list[str] = []
            for result in _choices(annotation):
                if control in (None, result.get("from_name")):
                    labels += _chosen(result, place)
            author = _author(annotation.get("completed_by"))
            yield ImportedLabel(item_id, labels, author, _seconds(annotation, place))


# Writing


def _data_keys(fields: Sequence[str]) -> dict[str, str]:
    """Return by field the key of its text in a task; Label Studio's variables are plain names."""
    if not fields:
        raise InputError("Label Studio: no fields to show; name the items' text field")
    taken = {_ID, _META, CONTROL}
    for name in fields:
        if name in taken:
            raise InputError(f"Label Studio: field {name!r} has a name in use; rename the field")
        if _NOT_XML.search(name):
            raise InputError(f"Label Studio: field {name!r} has a control character; rename it")
    keys: dict[str, str] = {}
    for number, name in enumerate(fields, 1):
        key = name if _PLAIN_NAME.fullmatch(name) else f"field_{number}"
        while key != name and key in fields:
            key += "_"
        keys[name] = key
    return keys


def _check_label(label: str) -> None:
    if _NOT_XML.search(label):
        raise InputError(f"Label Studio: label {label!r} has a control character; rename it")
    if _VARIABLE.search(label):
        raise InputError(
            f"Label Studio: label {label!r} would be read as a variable; rename it without the $"
        )


def _predictions(
    item: Item,
    routed: Routed | None,
    annotations: Sequence[Annotation],
    names: Mapping[str, str],
) -> Iterator[tuple[str, Any, float | None]]:
    if routed is not None and routed.consensus.label is not None:
        yield CONSENSUS, routed.consensus.label, routed.consensus.agreement
    versions = {CONSENSUS}
    latest = {one.annotator: one for one in sorted(annotations, key=lambda one: one.created)}
    # Not in the order in which they came: that differs from run to run.
    for fingerprint in [*names, *sorted(latest.keys() - names.keys())]:
        annotation = latest.get(fingerprint)
        if annotation is None:
            continue
        version = names.get(fingerprint, fingerprint)
        if version in versions:
            raise InputError(
                f"Label Studio: item {item.id!r} has two annotators named {version!r}; rename one"
            )
        versions.add(version)
        if annotation.outcome == "labeled":
            yield version, annotation.label, _own_probability(annotation)


def _own_probability(annotation: Annotation) -> float | None:
    """Return the probability that an annotator gave its label: the least over the label's units."""
    if not annotation.distribution:
        return None
    chosen = annotation.label if isinstance(annotation.label, list) else None
    shares = [
        shares.get(annotation.label if chosen is None else unit in chosen)
        for unit, shares in annotation.distribution.items()
    ]
    known = [share for share in shares if share is not None]
    return min(known) if len(known) == len(shares) else None


def _prediction(
    item_id: str, version: str, label: Any, score: float | None, shown: str
) -> dict[str, Any]:
    choices = list(label) if isinstance(label, list | tuple) else [str(label)]
    result = {
        "id": content_hash([item_id, version, choices]),
        "from_name": CONTROL,
        "to_name": shown,
        "type": "choices",
        "value": {"choices": choices},
    }
    if score is not None:
        score = min(1.0, max(0.0, float(score))) if math.isfinite(score) else None
    # No label at all is a prediction without results: a Choices value must name a choice.
    return {"model_version": version, "score": score, "result": [result] if choices else []}


# Reading


def _load(path: Path) -> list[dict[str, Any]]:
    try:
        exported = json.loads("".join(read_lines(path, newline="\n")))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); export as JSON from Label Studio"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not usable JSON ({error}); export it again") from None
    if not isinstance(exported, list):
        raise InputError(f"{path}: not a list of tasks; export as JSON from Label Studio")
    for number, task in enumerate(exported, 1):
        annotations = task.get("annotations") if isinstance(task, dict) else None
        if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
            raise InputError(
                f"{path}: task {number} has no list of annotations; export as JSON, not as JSON-MIN"
            )
    return exported


def _choices(annotation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for result in annotation.get("result") or ():
        if isinstance(result, dict) and result.get("type") == "choices":
            yield result


def _controls(exported: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        str(result.get("from_name"))
        for task in exported
        for annotation in task["annotations"]
        for result in _choices(annotation)
    }


def _item_id(task: Mapping[str, Any], place: str) -> str:
    data = task.get("data")
    item_id = data.get(_ID) if isinstance(data, dict) else None
    if not isinstance(item_id, str | int) or isinstance(item_id, bool):
        raise InputError(f"{place}: no {_ID} in its data; import tasks that prelabel exported")
    return str(item_id)


def _chosen(result: Mapping[str, Any], place: str) -> list[str]:
    value = result.get("value")
    chosen = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(chosen, list) or not all(isinstance(label, str) for label in chosen):
        raise InputError(f"{place}: its choices are not a list of labels; export it again")
    return chosen


def _author(completed_by: Any) -> str:
    if isinstance(completed_by, dict):
        keys = ("email", "username", "id")
        completed_by = next((completed_by[key] for key in keys if completed_by.get(key)), None)
    return "" if completed_by is None else str(completed_by)


def _seconds(annotation: Mapping[str, Any], place: str) -> float:
    created = annotation.get("created_at")
    if not created:
        return 0.0
    try:
        when = dt.datetime.fromisoformat(str(created))
    except ValueError:
        raise InputError(
            f"{place}: created_at {created!r} is not a time; export it again"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
