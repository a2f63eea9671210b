"""Recorded annotations: what other systems and people have said of the items, from a table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prelabel.errors import InputError
from prelabel.exchange.cells import as_text, parsed
from prelabel.exchange.tables import Row, format_of, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

Kind = Literal["label", "unusable", "abstained"]

NAME = "{}"
"""Stands for an annotator's column in the name of the column with its confidence."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One annotator's recorded word on one item, as it stands in the table.

    ``value`` is the raw label, a text, list or object, not yet matched to a guideline; None unless
    ``kind`` is ``label``. ``confidence`` (0 to 1) is what the annotator said of itself.
    """

    line: int
    item_id: str
    annotator: str
    kind: Kind
    value: Any = None
    confidence: float | None = None


def read_recorded(
    path: Path,
    *,
    item: str = "id",
    layout: Literal["wide", "long"] = "wide",
    annotators: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    annotator: str = "annotator",
    label: str = "label",
    confidence: str | None = None,
    missing: Sequence[str] = ("",),
    unusable: Sequence[str] = (),
    abstained: Sequence[str] = (),
    separator: str | None = None,
    free_text: bool = False,
    guarded: bool = False,
    encoding: str | None = None,
) -> Iterator[Recorded]:
    """Yield the annotations in a table, in the table's order.

    Args:
        path: the table, of any kind that `read_rows` reads.
        item: the column with the item's id.
        layout: ``wide``, one row an item and one column an annotator; or ``long``, one row an
            annotation.
        annotators: wide: the annotators' columns; all but ``item`` and ``ignore`` if None.
        ignore: wide: columns that are not annotators.
        annotator: long: the column with the annotator's name.
        label: long: the column with the label.
        confidence: the column with the annotator's own confidence, if there is one. Wide, with
            several annotators: its name with ``{}`` for the annotator's, as in ``{}_confidence``;
            an annotator without such a column has none. Numbers from 0 to 1; where one in the
            column is above 1, or is written with ``%``, all in it are percent. An empty cell is
            none.
        missing: marks of cells that are no annotation at all. Nulls and NaN always are.
        unusable: marks of failed annotations, such as ``?``.
        abstained: marks of an annotator that declined.
        separator: what stands between the labels of a list, such as ``;``.
        free_text: labels are texts of any content (task text): one that looks like JSON stays.
        guarded: the table is an export of this package in CSV or TSV, see `write_rows`.
        encoding: of a text file; UTF-8 if None.

    Marks are compared without the spaces around them; one that is named as unusable or abstained
    is not missing. Numbers and truth values are read as their plain text: 1, 1.0 and "1" are "1";
    within an object, or a list that holds objects or lists, they stay what they are. A text that
    is a JSON list or object is read as that.

    Raises:
        InputError: a column is absent, an annotator has two annotations of an item, or a confidence
            is none; names the line.

    """
    marks = _marks(path, missing, unusable, abstained)
    rows = read_rows(path, encoding=encoding, guarded=guarded)
    if layout == "long":
        cells = _long(path, rows, item, annotator, label, confidence)
    else:
        cells = _wide(path, rows, item, annotators, ignore, confidence)
    found = _annotations(path, cells, lambda cell: _read_cell(cell, marks, separator, free_text))
    if confidence is None:
        yield from (one for one, _ in found)
    else:
        yield from _with_confidence(path, found)


class _Cell(NamedTuple):
    """A label's cell, and that of the annotator's confidence with the name of its column."""

    line: int
    item_id: str
    annotator: str
    value: Any
    confidence: Any = None
    column: str = ""


def _annotations(
    path: Path, cells: Iterable[_Cell], read: Callable[[Any], tuple[Kind | None, Any]]
) -> Iterator[tuple[Recorded, _Cell]]:
    seen: dict[tuple[str, str], int] = {}
    for cell in cells:
        kind, value = read(cell.value)
        if kind is None:
            continue
        before = seen.setdefault((cell.annotator, cell.item_id), cell.line)
        if before != cell.line:
            raise InputError(
                f"{path}:{cell.line}: item {cell.item_id!r} of annotator {cell.annotator!r} is "
                f"already in line {before}; keep one of them"
            )
        yield Recorded(cell.line, cell.item_id, cell.annotator, kind, value), cell


def _with_confidence(path: Path, found: Iterable[tuple[Recorded, _Cell]]) -> Iterator[Recorded]:
    """Yield annotations with the confidence that goes with a label, as a share.

    What is above 1 or written with ``%`` tells that its whole column is of percent.
    """
    kept = list(found)
    said = [
        _number(cell.confidence, f"{path}:{cell.line}") if one.kind == "label" else None
        for one, cell in kept
    ]
    percent = {
        cell.column
        for (_, cell), number in zip(kept, said, strict=True)
        if number is not None and (number > 1 or "%" in str(cell.confidence))
    }
    for (one, cell), number in zip(kept, said, strict=True):
        share = number and number / (100 if cell.column in percent else 1)
        yield replace(one, confidence=share)


def _number(cell: Any, place: str) -> float | None:
    """Return the number in a confidence's cell, None where it is empty."""
    if isinstance(cell, float) and math.isnan(cell):
        return None
    text = as_text(cell).strip()
    if not text:
        return None
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 100:
        raise InputError(
            f"{place}: confidence {cell!r} is neither a number from 0 to 1 nor a percentage from "
            "0 to 100; mend it, or leave it empty"
        )
    return number


def _wide(
    path: Path,
    rows: Iterable[Row],
    item: str,
    annotators: Sequence[str] | None,
    ignore: Sequence[str],
    confidence: str | None,
) -> Iterator[_Cell]:
    if annotators is not None and item in annotators:
        raise InputError(f"{path}: column {item!r} is both item and annotator; name another")
    if annotators is not None and confidence in annotators:
        raise InputError(f"{path}: column {confidence!r} is both annotator and confidence")
    owners: dict[str, str] = {}  # of the columns with confidence
    present: dict[str, None] = {}
    for row in _with_columns(path, rows, [item, *(annotators or ())]):
        item_id = _name(path, row, item)
        present.update(dict.fromkeys(row.cells))
        sure = {} if confidence is None else _sure(confidence, row.cells)
        names = annotators
        if names is None:
            apart = {item, *ignore, *sure.values()}
            names = [name for name in row.cells if name not in apart]
        if not names and format_of(path) != "jsonl":
            raise InputError(f"{path}: no annotator's column beside {item!r}; add one")
        for name in dict.fromkeys(names):
            own = sure.get(name, "")
            if own and (first := owners.setdefault(own, name)) != name:
                raise InputError(
                    f"{path}: confidence {own!r} is of {first!r} or of {name!r}; name the "
                    f"annotator's column, or write {NAME} for it, as in '{NAME}_confidence'"
                )
            yield _Cell(row.line, item_id, name, row.cells.get(name), row.cells.get(own), own)
    if confidence is not None and present and not owners:
        _require(f"{path}", [confidence], present)


def _sure(confidence: str, columns: Iterable[str]) -> dict[str, str]:
    """Return the column with its confidence of each column that has one."""
    pairs = {name: confidence.replace(NAME, name) for name in columns}
    return {name: own for name, own in pairs.items() if own in pairs and own != name}


def _long(
    path: Path,
    rows: Iterable[Row],
    item: str,
    annotator: str,
    label: str,
    confidence: str | None,
) -> Iterator[_Cell]:
    columns = [item, annotator, label, *([] if confidence is None else [confidence])]
    for row in _with_columns(path, rows, columns):
        own = None if confidence is None else row.cells.get(confidence)
        names = _name(path, row, item), _name(path, row, annotator)
        yield _Cell(row.line, *names, row.cells.get(label), own, confidence or "")


def _marks(
    path: Path, missing: Iterable[str], unusable: Iterable[str], abstained: Iterable[str]
) -> dict[str, Kind | None]:
    failed, declined = ({mark.strip() for mark in marks} for marks in (unusable, abstained))
    if both := failed & declined:
        raise InputError(
            f"{path}: mark {min(both)!r} is both unusable and abstained; name it in one of them"
        )
    marks: dict[str, Kind | None] = {mark.strip(): None for mark in missing}
    return marks | dict.fromkeys(failed, "unusable") | dict.fromkeys(declined, "abstained")


def _with_columns(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows; refuse a table that lacks one of the columns.

    The rows of JSONL may leave columns out, so that there only the end shows what is absent.
    """
    ragged = format_of(path) == "jsonl"
    present: dict[str, None] = {}
    for row in rows:
        if ragged or not present:
            present.update(dict.fromkeys(row.cells))
            if not ragged:
                _require(f"{path}", columns, present)
        yield row
    if ragged:
        _require(f"{path}", columns, present)


def _require(place: str, columns: Sequence[str], present: Iterable[str]) -> None:
    absent = [name for name in columns if name not in present]
    if absent:
        there = ", ".join(repr(name) for name in present)
        raise InputError(f"{place}: no column {absent[0]!r}; it has {there}")


def _name(path: Path, row: Row, column: str) -> str:
    place = f"{path}:{row.line}"
    if column not in row.cells:
        _require(place, [column], row.cells)
    cell = row.cells[column]
    text = "" if isinstance(cell, list | dict) else as_text(cell)
    if not text.strip():
        raise InputError(f"{place}: column {column!r} is empty or not a name; fill it")
    return text


def _read_cell(
    cell: Any, marks: Mapping[str, Kind | None], separator: str | None, free_text: bool
) -> tuple[Kind | None, Any]:
    """Return what a cell is, None for no annotation at all, and its label."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None, None
    if not isinstance(cell, list | dict) and (mark := as_text(cell).strip()) in marks:
        return marks[mark], None
    return "label", parsed(cell, separator, free_text=free_text)
