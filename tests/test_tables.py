import string
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_disk import cells, file, message

from prelabel.errors import InputError
from prelabel.exchange.tables import Row, read_rows, write_rows

SUFFIXES = [".csv", ".tsv", ".jsonl", ".ndjson", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet"]
TEXT_SUFFIXES = [".csv", ".tsv", ".csv.gz", ".tsv.gz"]

# No NUL and no half surrogates: neither is text that a CSV in UTF-8 can hold.
texts = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    st.text(st.sampled_from("=+-@\t\r\n'\"0123456789.eE, ;\u2028א🙂é"), max_size=8),
    st.sampled_from(
        ["-1.5", "'-1.5", "-1e5", "-5\n", "''=x", "=HYPERLINK()", "שלום \u200fעולם", "👩‍👩‍👧"]
    ),
)
names = st.lists(texts.filter(lambda name: name.strip()), min_size=1, max_size=4, unique=True)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(string.ascii_letters, min_size=1), inner, max_size=3),
    ),
    max_leaves=6,
)


# Round trips


@settings(deadline=None)  # the disk's time is not the code's
@given(st.data())
@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_texts_survive_csv_and_tsv(suffix, data):
    columns = data.draw(names)
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, texts)), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"out{suffix}")
        assert write_rows(path, rows, columns) == len(rows)
        assert cells(path, guarded=True) == rows


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_values_survive_jsonl(suffix, data):
    columns = data.draw(names)
    rows = data.draw(
        st.lists(st.fixed_dictionaries(dict.fromkeys(columns, nested)), min_size=1, max_size=4)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"out{suffix}")
        assert write_rows(path, rows, columns) == len(rows)
        assert cells(path) == rows


@settings(deadline=None)
@given(texts)
def test_no_written_cell_begins_as_a_formula(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.csv")
        write_rows(path, [{"a": "x", "b": text}], ["a", "b"])
        [row] = cells(path)
    shown = row["b"]
    assert not shown.startswith(("=", "+", "@", "\t", "\r"))
    assert not shown.startswith("-") or float(shown) <= 0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("@cmd", "'@cmd"),
        ("-x", "'-x"),
        ("-1.5", "-1.5"),
        ("-1e-07", "-1e-07"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("", ""),
    ],
)
def test_guard(tmp_path, text, written):
    path = tmp_path / "out.csv"
    write_rows(path, [{"id": "1", "text": text}], ["id", "text"])
    assert path.read_text() == f"id,text\n1,{written}\n"
    assert cells(path, guarded=True) == [{"id": "1", "text": text}]


def test_lists_are_json_text_in_csv_and_lists_elsewhere(tmp_path):
    rows = [{"id": 1, "labels": ["a", "é"], "none": None, "yes": True, "n": 0.5}]
    columns = ["id", "labels", "none", "yes", "n"]
    for suffix in (".csv", ".jsonl", ".parquet"):
        write_rows(tmp_path / f"out{suffix}", rows, columns)
    texts = {"id": "1", "labels": '["a", "é"]', "none": "", "yes": "true", "n": "0.5"}
    assert cells(tmp_path / "out.csv") == [texts]
    assert cells(tmp_path / "out.jsonl") == rows
    assert cells(tmp_path / "out.parquet") == rows


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_rows_give_the_same_bytes(tmp_path, suffix):
    rows = [{"id": "1", "text": "x"}]
    for name in ("one", "two"):
        write_rows(tmp_path / f"{name}{suffix}", rows, ["id", "text"])
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_values_beyond_json_are_written_plainly(tmp_path):
    import datetime as dt

    import numpy as np

    path = tmp_path / "out.jsonl"
    day = dt.date(2026, 1, 2)
    row = {
        "nan": float("nan"),
        "int": np.int64(3),
        "array": np.array([1, 2]),
        "day": day,
        "p": path,
    }
    write_rows(path, [row], list(row))
    assert cells(path) == [
        {"nan": None, "int": 3, "array": [1, 2], "day": "2026-01-02", "p": str(path)}
    ]


# Reading


def test_lines_are_where_records_begin_and_cells_stay_as_written(tmp_path):
    content = 'id,text\r\n1,"two\r\nlines"\r\n\r\n2,"a ""quote"""\r\n3,"lone\rreturn"\r\n'
    rows = list(read_rows(file(tmp_path, "items.csv", content)))
    assert rows == [
        Row(2, {"id": "1", "text": "two\r\nlines"}),
        Row(5, {"id": "2", "text": 'a "quote"'}),
        Row(6, {"id": "3", "text": "lone\rreturn"}),
    ]


def test_jsonl_rows_keep_their_values_and_lines(tmp_path):
    content = '\ufeff{"id": 1, "x": [null, 1.5, true]}\r\n\n{"id": "\u2028", "y": NaN}'
    assert list(read_rows(file(tmp_path, "items.jsonl.gz", content))) == [
        Row(1, {"id": 1, "x": [None, 1.5, True]}),
        Row(3, {"id": "\u2028", "y": None}),
    ]


def test_suffix_in_capitals(tmp_path):
    assert cells(file(tmp_path, "ITEMS.CSV", "id\n1\n")) == [{"id": "1"}]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_text_of_a_megabyte(tmp_path, suffix):
    path = tmp_path / f"items{suffix}"
    row = {"id": "1", "text": 'word, "word"\n' * 90_000}
    write_rows(path, [row], ["id", "text"])
    assert cells(path) == [row]


@pytest.mark.parametrize(
    ("suffix", "count", "most"),
    [(".csv", 100_000, 2**20), (".jsonl", 20_000, 2**20), (".parquet", 20_000, 4 * 2**20)],
)
def test_memory_is_flat_in_the_number_of_rows(tmp_path, suffix, count, most):
    path = tmp_path / f"items{suffix}"
    rows = ({"id": str(i), "text": f"text of item {i} " * 9} for i in range(count))
    write_rows(path, [{"id": "1", "text": "x"}], ["id", "text"])  # imports are not counted
    tracemalloc.start()
    assert write_rows(path, rows, ["id", "text"]) == count
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert sum(1 for _ in read_rows(path)) == count
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(written, read) < most  # 20,000 of these rows take more than 10 MB


# Refusals

WRONG = [
    ("items.csv", b"", "items.csv: is empty; the first line must name the columns"),
    ("items.tsv.gz", b"\n\n", "items.tsv.gz: is empty; the first line must name the columns"),
    ("items.jsonl", b"\n", "items.jsonl: is empty; write one JSON object a line"),
    ("items.csv", b"id,text\n1,a\n2\n", "items.csv:3: has 1 cells where the header has 2;"),
    (
        "items.csv",
        b'id,text\n1,"a\nb"\n2,a,b\n',
        "items.csv:4: has 3 cells where the header has 2;",
    ),
    ("items.csv", b"id,text,id\n", "items.csv:1: column 'id' is there twice; rename or remove one"),
    ("items.csv", b"\nid, \n", "items.csv:2: column 2 has no name; name it or remove it"),
    ("items.csv", b'id,text\n1,a\n2,"b\n3,c\n', "items.csv:3: a double quote opened here is never"),
    ("items.csv", b'id,text\n1,"a" b\n', "items.csv:2: text follows a closing double quote;"),
    ("items.csv", b"id,text\n1,a\0b\n", "items.csv:2: has a NUL byte; remove it"),
    ("items.jsonl", b'{"id": 1}\n\0', "items.jsonl:2: has a NUL byte; remove it"),
    ("items.jsonl", b'{"id": 1}\n{"t": ["\\u0000"]}', "items.jsonl:2: has a NUL character; remove"),
    (
        "items.jsonl",
        b'{"t": {"\\ud83d": 1}}',
        "items.jsonl:1: has half of a surrogate pair; remove",
    ),
    (
        "items.jsonl",
        b'{"id": 1}\n\n{"id": }',
        "items.jsonl:3: not JSON (Expecting value at column 8)",
    ),
    ("items.jsonl", b"[1]", "items.jsonl:1: JSON, but not an object; write one object a line"),
    (
        "items.jsonl",
        b'{"a": 1, "a": 2}',
        "items.jsonl:1: not usable JSON (column 'a' is there twice)",
    ),
    ("items.jsonl", b'{" ": 1}', "items.jsonl:1: a column has no name; name it or remove it"),
    (
        "items.jsonl",
        b'{"a": Infinity}',
        "items.jsonl:1: not usable JSON (Infinity is not a JSON value)",
    ),
    (
        "items.jsonl",
        b'{"a": ' + b"[" * 200_000,
        "items.jsonl:1: not usable JSON (maximum recursion",
    ),
    (
        "items.jsonl",
        b'{"a": ' + b"1" * 5_000 + b"}",
        "items.jsonl:1: not usable JSON (Exceeds the limit",
    ),
    ("items.parquet", b"PAR1", "items.parquet: not a whole Parquet file ("),
    ("items.txt", b"", "items.txt: unknown kind of file (.txt); use .csv, .tsv, .jsonl or .ndjson"),
    ("items.xlsx", b"", "items.xlsx: unknown kind of file (.xlsx); use .csv"),
    ("items.parquet.gz", b"", "items.parquet.gz: unknown kind of file (.parquet.gz); use"),
    ("items", b"", "items: unknown kind of file (no ending); use"),
]


@pytest.mark.parametrize(("name", "content", "start"), WRONG)
def test_refused(tmp_path, name, content, start):
    assert message(file(tmp_path, name, content)).startswith(start)


# Writing


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("value", "what"), [(["a\0"], "a NUL character"), ("\ud800", "half of a surrogate pair")]
)
def test_texts_that_no_file_holds(tmp_path, suffix, value, what):
    rows = [{"id": "1"}, {"id": value}]
    with pytest.raises(InputError, match=f"out{suffix}: row 2, column 'id': has {what}; remove it"):
        write_rows(tmp_path / f"out{suffix}", rows, ["id"])


def test_columns_to_write_have_one_name_each(tmp_path):
    with pytest.raises(InputError, match="column 'id' is there twice"):
        write_rows(tmp_path / "out.csv", [], ["id", "id"])
