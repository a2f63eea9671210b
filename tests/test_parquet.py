import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_disk import cells, message

from prelabel.errors import MissingExtraError
from prelabel.exchange.tables import Row, read_rows, write_rows

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
nested = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(deadline=None)  # the disk's time is not the code's
@given(st.data())
def test_values_survive_parquet_as_themselves_or_as_json(data):
    columns = data.draw(st.lists(st.text("abc=", min_size=1), min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, nested)), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.parquet")
        assert write_rows(path, rows, columns) == len(rows)
        found = cells(path)
    assert len(found) == len(rows)
    for column in columns:
        wanted = [row[column] for row in rows]
        got = [row[column] for row in found]
        as_json = [None if v is None else json.loads(v) for v in got] if got != wanted else got
        assert as_json == wanted


def test_parquet_types_widen_over_the_whole_file(tmp_path):
    import pyarrow.parquet

    path = tmp_path / "out.parquet"
    rows = [{"n": i, "m": i, "e": [], "s": {"a": None}} for i in range(3000)]
    rows += [{"n": 0.5, "m": "x", "e": ["y"], "s": {"a": 1}}, {}]
    write_rows(path, rows, ["n", "m", "e", "s", "void"])
    types = [
        str(kind).replace("element", "item") for kind in pyarrow.parquet.read_schema(path).types
    ]
    assert types == ["double", "string", "list<item: string>", "struct<a: int64>", "string"]
    found = cells(path)
    assert found[7] == {"n": 7.0, "m": "7", "e": [], "s": {"a": None}, "void": None}
    assert found[3000] == {"n": 0.5, "m": '"x"', "e": ["y"], "s": {"a": 1}, "void": None}
    assert found[3001] == dict.fromkeys(["n", "m", "e", "s", "void"])


def test_parquet_values_become_json_values(tmp_path):
    import datetime as dt
    import decimal

    import pyarrow as pa
    import pyarrow.parquet

    columns = {
        "n": pa.array([1.0, None]),
        "when": pa.array([dt.datetime(2026, 1, 2, 3, 4), None]),  # noqa: DTZ001
        "bytes": pa.array(["é".encode(), None]),
        "kind": pa.array(["a", None]).dictionary_encode(),
        "price": pa.array([decimal.Decimal("1.50"), None]),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "items.parquet")
    assert list(read_rows(tmp_path / "items.parquet")) == [
        Row(
            1, {"n": 1.0, "when": "2026-01-02T03:04:00", "bytes": "é", "kind": "a", "price": "1.50"}
        ),
        Row(2, dict.fromkeys(columns)),
    ]


def test_parquet_with_bad_columns_or_bytes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "items.parquet"
    for names, values, start in (
        (["a", "a"], ["x", "y"], "items.parquet: column 'a' is there twice"),
        (["a", ""], ["x", "y"], "items.parquet: column 2 has no name"),
        (["a", "b"], ["x", b"\xe9"], "items.parquet: a text is not UTF-8"),
        (["a", "b"], ["x", "\0"], "items.parquet:1: has a NUL character"),
    ):
        pyarrow.parquet.write_table(pa.table([[value] for value in values], names), path)
        assert message(path).startswith(start)


@pytest.mark.parametrize("act", ["read", "write"])
def test_parquet_without_pyarrow(tmp_path, monkeypatch, act):
    path = tmp_path / "items.parquet"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r"needs pyarrow: pip install 'prelabel\[parquet\]'"
    ):
        list(read_rows(path)) if act == "read" else write_rows(path, [], ["id"])
    assert path.read_bytes() == b""
