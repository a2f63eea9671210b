import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
from on_disk import cells, file, message

from prelabel.errors import InputError
from prelabel.exchange.tables import Row, read_rows, write_rows

SUFFIXES = [".csv", ".tsv", ".jsonl", ".ndjson", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet"]


# Reading


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


# Replacing


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


def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with as_nobody(tmp_path), pytest.raises(InputError, match="Permission denied"):
        write_rows(tmp_path / "out.csv", [], ["id"])


@contextmanager
def as_nobody(folder):
    """Give up root for a while: nothing is read-only to it."""
    if os.geteuid():
        yield
        return
    os.chown(folder, 65534, 65534)
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
