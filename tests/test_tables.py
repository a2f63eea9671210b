import gzip
import json
import os
import stat
import string
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError, MissingExtraError
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


def file(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def cells(path: Path, **settings) -> list[dict]:
    return [row.cells for row in read_rows(path, **settings)]


def message(path: Path, **settings) -> str:
    with pytest.raises(InputError) as caught:
        list(read_rows(path, **settings))
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), path.name)


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
@given(st.data())
def test_values_survive_parquet_as_themselves_or_as_json(data):
    columns = data.draw(names)
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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_mark_and_line_ends(tmp_path, end, mark):
    path = file(tmp_path, "items.csv", f'{mark}"id",text{end}1,é{end}2,x')
    assert list(read_rows(path)) == [
        Row(2, {"id": "1", "text": "é"}),
        Row(3, {"id": "2", "text": "x"}),
    ]
    assert cells(path, encoding="utf8") == cells(path)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings(tmp_path, encoding):
    path = file(tmp_path, "items.tsv", "id\ttext\r\n1\tété\r\n".encode(encoding))
    assert cells(path, encoding=encoding) == [{"id": "1", "text": "été"}]


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


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl"])
def test_the_line_of_the_first_undecodable_byte(tmp_path, suffix):
    lines = [b'{"id": "caf\xc3\xa9"}' if suffix == ".jsonl" else "café".encode()] * 5000
    lines[0] = lines[0] if suffix == ".jsonl" else b"id"
    lines[3000] = lines[4000] = lines[3000].replace(b"\xc3\xa9", b"\xe9")
    text = message(file(tmp_path, f"items{suffix}", b"\r\n".join(lines)))
    assert text.startswith(f"items{suffix}:3001: not valid UTF-8 (byte 0xe9: ")
    assert text.endswith("; save the file as UTF-8, or give encoding: latin-1")


def test_undecodable_in_odd_places(tmp_path):
    last = message(file(tmp_path, "items.csv", b"id\nx\n\xe2\x82"))
    assert last.startswith("items.csv:3: not valid UTF-8 (byte 0xe2: ")
    mac = message(file(tmp_path, "items.csv", b"id\rx\ry\xff\r"))
    assert mac.startswith("items.csv:3: not valid UTF-8 (byte 0xff: ")
    wide = message(file(tmp_path, "items.csv", "id\nx\n".encode("utf-16")))
    assert wide.startswith("items.csv:1: ")
    assert wide.endswith("give encoding: utf-16")
    given = message(file(tmp_path, "items.csv", b"id\nx\x81\n"), encoding="cp1252")
    assert given.startswith("items.csv:2: not valid cp1252 (byte 0x81: ")
    unmarked = message(file(tmp_path, "items.csv", "id\n".encode("utf-16-le")))
    assert unmarked == (
        "items.csv:1: has a NUL byte; remove it (if the file is UTF-16, give encoding: utf-16)"
    )
    cut = message(
        file(tmp_path, "items.csv", "id\r\nx\r\ny".encode("utf-16") + b"!"), encoding="utf-16"
    )
    assert cut.startswith("items.csv:3: not valid utf-16 (byte 0x21: ")


@pytest.mark.parametrize("encoding", ["klingon", "hex"])
def test_unknown_encoding(tmp_path, encoding):
    text = message(file(tmp_path, "items.csv", "id\n"), encoding=encoding)
    assert text == (
        f"items.csv: unknown encoding '{encoding}'; use a name such as utf-8, latin-1 or cp1252"
    )


def test_missing_file_and_folder(tmp_path):
    for suffix in SUFFIXES:
        text = message(tmp_path / f"items{suffix}")
        assert text == f"items{suffix}: no such file; check the path"
    assert message(tmp_path) == f"{tmp_path.name}: is a folder; name a file in it"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_no_permission(tmp_path, suffix, monkeypatch):
    path = file(tmp_path, f"items{suffix}", "id\n")

    def refuse(*_args, **_settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # as root, real permissions do not bind
    assert message(path) == (
        f"items{suffix}: cannot be read (Permission denied); check its permissions"
    )


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[:-20], lambda raw: b"id\n1\n", lambda raw: raw[:99] + b"\xff" * 9 + raw[108:]],
)
def test_damaged_gzip(tmp_path, damage):
    path = file(tmp_path, "items.csv.gz", "id\n" + "\n".join(str(i**3) for i in range(9999)))
    path.write_bytes(damage(path.read_bytes()))
    text = message(path)
    assert text.startswith("items.csv.gz: not a whole gzip file (")
    assert text.endswith("compress or fetch it again")


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
    path = file(tmp_path, "items.parquet", "")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r"needs pyarrow: pip install 'prelabel\[parquet\]'"
    ):
        list(read_rows(path)) if act == "read" else write_rows(path, [], ["id"])
    assert path.read_bytes() == b""


# Writing


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, suffix):
    def broken():
        yield {"id": "2"}
        raise KeyError("stopped")

    path = tmp_path / f"out{suffix}"
    write_rows(path, [{"id": "1"}], ["id"])
    with pytest.raises(KeyError):
        write_rows(path, broken(), ["id"])
    assert cells(path) == [{"id": "1"}]
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_modes_are_kept(tmp_path):
    path = file(tmp_path, "out.csv", "")
    path.chmod(0o640)
    (tmp_path / "link.csv").symlink_to(path)
    write_rows(tmp_path / "link.csv", [], ["id"])
    assert path.read_text() == "id\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (tmp_path / "link.csv").is_symlink()


def test_unwritable(tmp_path, monkeypatch):
    def write(path):
        with pytest.raises(InputError) as caught:
            write_rows(path, [{"id": "1"}], ["id"])
        return str(caught.value).replace(f"{tmp_path}/", "")

    missing = "out.csv: cannot be written (No such file or directory); choose a folder that exists"
    assert write(tmp_path / "no" / "out.csv").startswith(f"no/{missing}")
    file(tmp_path, "plain", "")
    assert "cannot be written (Not a directory)" in write(tmp_path / "plain" / "out.csv")
    (tmp_path / "out.csv").mkdir()
    assert write(tmp_path / "out.csv") == "out.csv: is a folder; name a file in it"
    assert write(tmp_path / "out.doc").startswith("out.doc: unknown kind of file (.doc); use .csv")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "cannot be written (No space left on device)" in write(tmp_path / "two.csv")
    assert not list(tmp_path.glob("*two*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_rows(tmp_path / "out.csv", [], ["id"])


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
