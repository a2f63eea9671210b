"""Items and gold from the user's own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.exchange.cells import as_label, as_text, from_json
from prelabel.exchange.tables import Row, format_of, read_rows
from prelabel.records import Gold, Image, Item, Label
from prelabel.tasks import OffListError, Task

if TYPE_CHECKING:
    from prelabel.settings import GoldConfig, ItemsConfig

TOKENS = "tokens"
"""The name under which an item's metadata has the tokens of its text."""


def read_items(folder: Path, config: ItemsConfig, limit: int | None = None) -> Iterator[Item]:
    """Read items one after the other. Raises ``InputError`` at the first that cannot be used.

    An item needs an id that no other has, and a text that is not empty or a picture. Where the
    text is given as tokens it is these joined by single spaces, and they are in ``meta["tokens"]``.
    """
    path = folder / config.path
    seen: dict[int, int] = {}  # hash of id -> line: a fraction of what the ids would need
    columns, own, file = config.columns, meta_columns(config), str(path)
    rows = checked_rows(path, config.encoding, [config.id], wanted_columns(config))
    for row in islice(rows, limit):
        where = f"{file}:{row.line}"
        identifier = as_id(where, row, config.id)
        first = seen.setdefault(hash(identifier), row.line)
        if first != row.line:
            raise InputError(
                f"{where}: id {identifier!r} is there already (line {first}); ids must differ"
            )
        tokens = tokens_of(row.cells.get(config.tokens)) if config.tokens else None
        fields = {name: as_text(row.cells.get(name)) for name in columns}
        if tokens is not None:
            fields[columns[0]] = " ".join(tokens)
        images = images_of(where, row, folder, config) if config.images else ()
        if not images and not any(map(str.strip, fields.values())):
            need_content(where, row, identifier, config)
        meta = {name: row.cells.get(name) for name in own(row.cells)}
        yield Item(identifier, fields, meta if tokens is None else meta | {TOKENS: tokens}, images)


def wanted_columns(config: ItemsConfig) -> list[str]:
    """Return the columns that must be in the table; beside pictures the text may be left out."""
    texts = text_columns(config)
    if config.images and "text" not in config.model_fields_set and not config.tokens:
        texts = []
    return [*texts, *config.images, *(config.meta or [])]


def text_columns(config: ItemsConfig) -> list[str]:
    """Return the columns that texts come from: tokens make the first text."""
    return [config.tokens, *config.columns[1:]] if config.tokens else config.columns


def need_content(where: str, row: Row, identifier: str, config: ItemsConfig) -> None:
    """Raise ``InputError`` for an item without a text or a picture."""
    columns = [*text_columns(config), *config.images]
    if not config.images:
        need_columns(where, row, columns)
    what = "no text or picture" if config.images else "no text"
    raise InputError(
        f"{where}: item {identifier!r} has {what} in {', '.join(columns)}; "
        "fill it in, or take the item out"
    )


def tokens_of(cell: Any) -> list[str]:
    """Return a cell's tokens: a list's entries, also one in JSON, or what spaces part."""
    found = from_json(cell) if isinstance(cell, str) else cell
    if isinstance(found, list):
        return [as_text(token) for token in found]
    return as_text(cell).split()


def images_of(where: str, row: Row, folder: Path, config: ItemsConfig) -> tuple[Image, ...]:
    """Return the pictures that a row names. Raises ``InputError`` for one that cannot be used."""
    named = {name: as_text(row.cells.get(name)).strip() for name in config.images}
    if not any(named.values()):
        return ()
    from prelabel.images import find_image

    try:
        return tuple(find_image(name, source, folder) for name, source in named.items() if source)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def checked_rows(
    path: Path, encoding: str | None, always: Sequence[str], somewhere: Sequence[str]
) -> Iterator[Row]:
    """Yield a table's rows. Raises ``InputError`` for a column that is not there.

    Rows of JSONL may leave columns out: those of ``somewhere`` need to be in one row only, so that
    the end of the file shows what is missing.
    """
    ragged = format_of(path) == "jsonl"
    absent = dict.fromkeys(somewhere)
    row = None
    for row in read_rows(path, encoding=encoding):
        wanted = always if ragged else [*always, *absent]
        if not row.cells.keys() >= set(wanted):
            need_columns(f"{path}:{row.line}", row, wanted)
        absent = {name: None for name in absent if name not in row.cells}
        yield row
    if row and absent:
        need_columns(f"{path}", row, list(absent))


def meta_columns(config: ItemsConfig) -> Callable[[Iterable[str]], Iterable[str]]:
    """Return what tells the columns of metadata among a row's: those named, else all others.

    What names pictures stays, for exports.
    """
    named = config.meta
    if named is not None:
        return lambda _: named
    used = {config.id, *config.columns, *text_columns(config)}
    return lambda columns: [name for name in columns if name not in used]


def read_gold(
    folder: Path, config: GoldConfig, task: Task, items: Mapping[str, Item] | None = None
) -> list[Gold]:
    """Read gold labels, matched to the guideline; rows without a label are passed over.

    ``items`` are by id, for a task whose labels can be matched only with their items. Raises
    ``InputError`` for a label that the guideline lacks, and for an item given two labels by the
    same author.
    """
    path = folder / config.path
    chosen = [  # a column that the user named must be there
        str(getattr(config, name))
        for name in ("split", "author", "lure", "chance", "cluster", "drawn")
        if name in config.model_fields_set and getattr(config, name)
    ]
    read = partial(gold_cell, config=config, free_text=task.name == "text")
    found: list[Gold] = []
    seen: dict[tuple[str, str], int] = {}
    for row in checked_rows(path, config.encoding, [config.id], [config.label, *chosen]):
        where = f"{path}:{row.line}"
        raw = read(row.cells.get(config.label))
        if raw is None:
            continue
        identifier, author = as_id(where, row, config.id), optional(row, config.author)
        first = seen.setdefault((identifier, author), row.line)
        if first != row.line:
            raise InputError(
                f"{where}: item {identifier!r} has gold already (line {first}); keep one label"
            )
        item = (items or {}).get(identifier)
        one = Gold(
            identifier,
            raw,
            optional(row, config.split),
            author,
            chance=_chance(where, row, config),
            cluster=optional(row, config.cluster),
            drawn=_drawn(row, config),
        )
        if task.needs_item and item is None:  # scores nobody, and is said to: kept as it stands
            found.append(one)
            continue
        label = label_of(f"{where}: gold label", raw, task, item)
        wanted = read(row.cells.get(config.lure)) if config.lure else None
        lure = None if wanted is None else label_of(f"{where}: lure", wanted, task, item)
        found.append(replace(one, label=label, lure=lure))
    return found


def _drawn(row: Row, config: GoldConfig) -> str:
    """Return how an item became gold, empty for at random."""
    found = optional(row, config.drawn).casefold()
    return "" if found == "random" else found


def _chance(where: str, row: Row, config: GoldConfig) -> float | None:
    if config.chance is None:
        return None
    text = optional(row, config.chance)
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < inf:
        raise InputError(f"{where}: chance {text!r} is no number above 0; write the item's chance")
    return found


def gold_cell(cell: Any, config: GoldConfig, *, free_text: bool) -> Any:
    """Return what stands for a gold label, None where the cell is empty.

    Free text that is a JSON list of several texts is several accepted answers: a table of texts has
    no other way to write these.
    """
    raw = as_label(cell, config.separator, free_text=free_text)
    listed = from_json(raw) if free_text and isinstance(raw, str) else None
    several = isinstance(listed, list) and len(listed) > 1
    return listed if several and all(isinstance(text, str) for text in listed or ()) else raw


def label_of(where: str, raw: Any, task: Task, item: Item | None) -> Label:
    """Return the label that a cell stands for. Raises ``InputError`` that begins with ``where``."""
    try:
        return task.match(raw, item)
    except OffListError as error:
        raise InputError(f"{where} {error}; mend it or the guideline") from None


def one_each(gold: Iterable[Gold]) -> list[Gold]:
    """Return one gold label an item. Raises ``InputError`` where authors differ."""
    found: dict[str, Gold] = {}
    for g in gold:
        first = found.setdefault(g.item_id, g)
        if first.label != g.label:
            authors = f"{first.author or 'one author'!r} and {g.author or 'another'!r}"
            raise InputError(
                f"gold: item {g.item_id!r} has different labels by {authors}; "
                "settle it, and keep one label"
            )
    return list(found.values())


def need_columns(where: str, row: Row, columns: Sequence[str]) -> None:
    """Raise ``InputError`` for a column that is not there, naming those that are."""
    missing = [name for name in columns if name not in row.cells]
    if missing:
        there = ", ".join(row.cells)
        raise InputError(f"{where}: no column {missing[0]!r}; the columns are: {there}")


def optional(row: Row, column: str | None) -> str:
    """Return the text of a column that may be missing."""
    return as_text(row.cells.get(column)) if column else ""


def as_id(where: str, row: Row, column: str) -> str:
    """Return the id of a row. Raises ``InputError`` where there is none."""
    value = row.cells.get(column)
    identifier = "" if isinstance(value, (list, dict)) else as_text(value)
    if not identifier.strip():
        raise InputError(f"{where}: column {column!r} is empty or no id; give every item an id")
    return identifier
