"""People's annotations from Label Studio's JSON export."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prelabel.errors import InputError
from prelabel.exchange.files import read_lines
from prelabel.exchange.labelstudio.controls import CONTROL, Control, controls_of
from prelabel.exchange.labelstudio.regions import read_relations, read_spans
from prelabel.exchange.labelstudio.write import ID, SPANS

if TYPE_CHECKING:
    from prelabel.tasks import Task


class ImportedLabel(NamedTuple):
    """What a person said of one item: a label still to be matched with ``task.match``.

    ``label_raw`` has the shape of the task's labels, and is None or an empty list or object if the
    person submitted nothing. ``author`` is an e-mail address or user id, ``created`` in seconds
    since 1970 (0 if unknown).
    """

    item_id: str
    label_raw: Any
    author: str
    created: float


def read_annotations(
    path: Path, task: Task, *, control: str | None = None
) -> Iterator[ImportedLabel]:
    """Yield what people said, from Label Studio's JSON export; skipped tasks are left out.

    Args:
        path: the export (the format named JSON, not JSON-MIN); may end in .gz.
        task: the task under whose guideline the labels were made.
        control: the tag to read (in extraction, what the tags' names begin with); if None that
            of `config`, or else the only one of its kind.

    Raises:
        InputError: not such an export, a task without ``prelabel_id``, or several tags of the kind
            and no ``control``.

    """
    exported = _load(path)
    controls = _controls(path, exported, task, control)
    for number, one in enumerate(exported, 1):
        place = f"{path}: task {one.get('id', number)}"
        item_id = _item_id(one, place)
        for annotation in one["annotations"]:
            if annotation.get("was_cancelled"):
                continue
            label = _label(task.name, controls, list(_results(annotation)), one["data"], place)
            author = _author(annotation.get("completed_by"))
            yield ImportedLabel(item_id, label, author, _seconds(annotation, place))


def _label(
    task: str,
    controls: Mapping[str, Control],
    results: list[dict[str, Any]],
    data: Mapping[str, Any],
    place: str,
) -> Any:
    """Return the raw label that an annotation's results stand for."""
    own = {
        field: [r for r in results if (r.get("from_name"), r.get("type")) == (c.name, c.type)]
        for field, c in controls.items()
    }
    if task in {"spans", "relations"}:
        spans = read_spans(own[""], data, place)
        if task == "spans":
            return [span for each in spans.values() for span in each]
        drawn = [result for result in results if result.get("type") == "relation"]
        return read_relations(drawn, spans, data.get(SPANS) or [], place)
    answers = {
        field: control.answer([result.get("value") for result in own[field]], place)
        for field, control in controls.items()
    }
    if task == "extraction":
        return {field: answer for field, answer in answers.items() if answer not in (None, [])}
    return answers[""]


def _controls(
    path: Path, exported: Iterable[Mapping[str, Any]], task: Task, control: str | None
) -> dict[str, Control]:
    """Return the tags to read: those named, those of `config`, or the only one of its kind."""
    controls = controls_of(task, control or CONTROL)
    kinds = {one.type for one in controls.values()}
    there = sorted(
        {
            str(result.get("from_name"))
            for one in exported
            for annotation in one["annotations"]
            for result in _results(annotation)
            if result.get("type") in kinds
        }
    )
    if not there or any(one.name in there for one in controls.values()):
        return controls
    named, kind = ", ".join(map(repr, there)), "/".join(sorted(kinds))
    if control is not None or task.name == "extraction":
        wanted = control or next(iter(controls.values())).name
        raise InputError(f"{path}: has no {kind} of tag {wanted!r}; it has {named}")
    if len(there) > 1:
        raise InputError(f"{path}: has {kind} of several tags ({named}); name one as control")
    return controls_of(task, there[0])


def _results(annotation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for result in annotation.get("result") or ():
        if isinstance(result, dict):
            yield result


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


def _item_id(task: Mapping[str, Any], place: str) -> str:
    data = task.get("data")
    item_id = data.get(ID) if isinstance(data, dict) else None
    if not isinstance(item_id, str | int) or isinstance(item_id, bool):
        raise InputError(f"{place}: no {ID} in its data; import tasks that prelabel exported")
    return str(item_id)


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
