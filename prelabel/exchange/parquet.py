"""Parquet through pyarrow, batch by batch; `tables` is the way in."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

from prelabel.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_BATCH = 2_000
_MIXED = "mixed"
_WIDER = {frozenset(("int", "float")): "float", frozenset(("int", "long")): "long"}
_EXACT = 2**53  # beyond, an integer may not survive as a float
_INT64 = 2**63

Kind = Any
"""``None`` (only nulls), a name, ``("list", Kind)`` or ``("struct", ((name, Kind), …))``."""


def read(
    stream: BinaryIO, path: Path, check_names: Callable[[Sequence[str], str], None]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file as Python values.

    Raises:
        InputError: it is not Parquet, its columns lack names, or a binary cell is not UTF-8.
        MissingExtraError: pyarrow is not installed.

    """
    pyarrow, pq = _pyarrow(path)
    try:
        table = pq.ParquetFile(stream)
        check_names(table.schema_arrow.names, f"{path}")
        for batch in table.iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                yield {name: _decoded(value) for name, value in row.items()}
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a text is not UTF-8 ({error}); write the file again") from None
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a whole Parquet file ({reason}); write it again") from None


def write(stream: BinaryIO, path: Path, rows: Iterable[list[Any]], columns: Sequence[str]) -> int:
    """Write rows of JSON values to ``stream``; return how many.

    A column's type is known only after its last row, so rows wait in a temporary file and memory
    stays flat.

    Raises:
        MissingExtraError: pyarrow is not installed.

    """
    pyarrow, pq = _pyarrow(path)
    kinds: list[Kind] = [None] * len(columns)
    count = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as waiting:
        for cells in rows:
            kinds = [_merge(kind, _kind(cell)) for kind, cell in zip(kinds, cells, strict=True)]
            waiting.write(json.dumps(cells) + "\n")
            count += 1
        waiting.seek(0)
        types = [_arrow_type(pyarrow, kind) for kind in kinds]
        schema = pyarrow.schema(list(zip(columns, types, strict=True)))
        with pq.ParquetWriter(stream, schema) as writer:
            for batch in _batches(waiting):
                arrays = [
                    pyarrow.array(_converted(values, kind), type=type_)
                    for values, kind, type_ in zip(
                        zip(*batch, strict=True), kinds, types, strict=True
                    )
                ]
                writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return count


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow: pip install 'prelabel[parquet]'"
        ) from None
    return pa, parquet


def _decoded(value: Any) -> Any:
    # Old writers store texts as binary without saying that they are texts.
    if isinstance(value, bytes):
        return value.decode()
    return [_decoded(inner) for inner in value] if isinstance(value, list) else value


def _batches(lines: Iterable[str]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    for line in lines:
        batch.append(json.loads(line))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _kind(value: Any) -> Kind:
    if value is None:
        return None
    if isinstance(value, dict):
        parts = tuple((name, _kind(inner)) for name, inner in sorted(value.items()))
        return ("struct", parts) if parts and _MIXED not in dict(parts).values() else _MIXED
    if isinstance(value, list):
        inner: Kind = None
        for element in value:
            inner = _merge(inner, _kind(element))
        return _MIXED if inner == _MIXED else ("list", inner)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) <= _EXACT:
            return "int"
        return "long" if -_INT64 <= value < _INT64 else _MIXED
    return type(value).__name__


def _merge(one: Kind, other: Kind) -> Kind:
    """Return the kind that holds both; mixed if only JSON text does."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    if isinstance(one, str) or isinstance(other, str) or one[0] != other[0]:
        return _WIDER.get(frozenset((one, other)), _MIXED)
    if one[0] == "list":
        inner = _merge(one[1], other[1])
        return _MIXED if inner == _MIXED else ("list", inner)
    if [name for name, _ in one[1]] != [name for name, _ in other[1]]:
        return _MIXED
    pairs = zip(one[1], other[1], strict=True)
    parts = tuple((name, _merge(a, b)) for (name, a), (_, b) in pairs)
    return _MIXED if _MIXED in dict(parts).values() else ("struct", parts)


def _arrow_type(pyarrow: Any, kind: Kind) -> Any:
    if isinstance(kind, tuple) and kind[0] == "list":
        return pyarrow.list_(_arrow_type(pyarrow, kind[1]))
    if isinstance(kind, tuple):
        return pyarrow.struct([(name, _arrow_type(pyarrow, part)) for name, part in kind[1]])
    names = {"bool": "bool", "int": "int64", "long": "int64", "float": "float64"}
    return pyarrow.type_for_alias(names.get(kind, "string"))


def _converted(values: Iterable[Any], kind: Kind) -> list[Any]:
    if kind == _MIXED:
        return [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return list(values)
