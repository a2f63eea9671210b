"""Items and gold from users' own tables, good and bad."""

import base64
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelstudio_rules import TEXT

from prelabel.errors import InputError
from prelabel.exchange.items import read_gold, read_items
from prelabel.guideline import Guideline
from prelabel.images import find_image
from prelabel.records import Item
from prelabel.settings import GoldConfig, ItemsConfig
from prelabel.tasks import make_task


def task_of(kind="classification", labels=("a", "b"), **more):
    names = [{"name": n, "definition": n, "aliases": [f"{n}-alias"]} for n in labels]
    return make_task(Guideline.model_validate({"name": "g", "task": kind, "labels": names} | more))


def items(tmp_path, content, name="items.csv", limit=None, **config):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(data)
    return list(read_items(tmp_path, ItemsConfig(path=name, **config), limit))


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def gold(tmp_path, content, name="gold.csv", task=None, **config):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_gold(tmp_path, GoldConfig(path=name, **config), task or task_of())


def refused(read, *args, **more):
    with pytest.raises(InputError) as caught:
        read(*args, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Items that can be used


def test_a_csv_as_a_spreadsheet_saves_it(tmp_path):
    text = '\ufeffid,text,channel\r\n1,"Hello, ""you""\r\nthere",mail\r\n\r\n2,שלום 🙂,\r\n'
    first, second = items(tmp_path, text)
    assert (first.id, dict(first.fields)) == ("1", {"text": 'Hello, "you"\r\nthere'})
    assert first.meta == {"channel": "mail"}
    assert second.fields == {"text": "שלום 🙂"}


def test_columns_of_other_names(tmp_path):
    rows = "nr,title,body,extra,more\n1,t,b,x,y\n"
    [item] = items(tmp_path, rows, id="nr", text=["title", "body"])
    assert list(item.fields.items()) == [("title", "t"), ("body", "b")]
    assert item.meta == {"extra": "x", "more": "y"}
    [item] = items(tmp_path, rows, id="nr", text="body", meta=["more"])
    assert item.meta == {"more": "y"}


def test_one_of_two_texts_may_be_empty(tmp_path):
    [item] = items(tmp_path, "id,t,b\n1,,x\n", text=["t", "b"])
    assert item.fields == {"t": "", "b": "x"}


def test_numbers_and_truth_values_in_jsonl(tmp_path):
    rows = jsonl(
        {"id": 7, "text": 3.5}, {"id": 8.0, "text": True}, {"id": "x", "text": {"a": ["é"]}}
    )
    found = items(tmp_path, rows, "i.jsonl")
    assert [(i.id, i.fields["text"]) for i in found] == [
        ("7", "3.5"),
        ("8", "true"),
        ("x", '{"a": ["é"]}'),
    ]


def test_numeric_ids_in_parquet_match_those_of_a_csv(tmp_path):
    table = pa.table({"id": pa.array([1.0, 2.0]), "text": ["x", "y"], "none": pa.array([None, 1])})
    pq.write_table(table, tmp_path / "i.parquet")
    found = list(read_items(tmp_path, ItemsConfig(path="i.parquet")))
    assert [i.id for i in found] == ["1", "2"]
    assert [g.item_id for g in gold(tmp_path, "id,label\n1,a\n2,b\n")] == ["1", "2"]
    pq.write_table(pa.table({"id": [1, 2], "label": ["a", "b"]}), tmp_path / "g.parquet")
    assert [g.item_id for g in read_gold(tmp_path, GoldConfig(path="g.parquet"), task_of())] == [
        "1",
        "2",
    ]


def test_rows_of_jsonl_may_leave_columns_out(tmp_path):
    rows = jsonl({"id": 1, "body": "b"}, {"id": 2, "title": "t", "body": "b", "m": 1})
    first, second = items(tmp_path, rows, "i.jsonl", text=["title", "body"], meta=["m"])
    assert first.fields == {"title": "", "body": "b"}
    assert (first.meta, second.meta) == ({"m": None}, {"m": 1})


def test_a_limit(tmp_path):
    rows = "id,text\n1,a\n2,b\n2,c\n"
    assert [i.id for i in items(tmp_path, rows, limit=2)] == ["1", "2"]
    assert items(tmp_path, rows, limit=0) == []


def test_a_megabyte_of_text(tmp_path):
    long = "word " * 200_000
    [item] = items(tmp_path, f"id,text\n1,{long}\n")
    assert len(item.fields["text"]) == 1_000_000
    [item] = items(tmp_path, jsonl({"id": 1, "text": long}), "i.jsonl")
    assert len(item.fields["text"]) == 1_000_000


def test_another_encoding(tmp_path):
    [item] = items(tmp_path, "id,text\n1,café\n".encode("latin-1"), encoding="latin-1")
    assert item.fields["text"] == "café"


# Tokens and pictures


def test_a_text_given_as_tokens(tmp_path):
    rows = jsonl(
        {"id": 1, "words": ["Łódź", "is", "2", "😀"], "tags": ["B-place", "O", "O", "O"]},
        {"id": 2, "words": "one  two", "tags": None},
        {"id": 3, "words": [1, 2.0, "x"]},
    )
    first, second, third = items(tmp_path, rows, "i.jsonl", tokens="words")
    assert dict(first.fields) == {"text": "Łódź is 2 😀"}
    tags = ["B-place", "O", "O", "O"]
    assert first.meta == {"tags": tags, "tokens": ["Łódź", "is", "2", "😀"]}
    assert (second.fields["text"], second.meta["tokens"]) == ("one two", ["one", "two"])
    assert (third.fields["text"], third.meta["tokens"]) == ("1 2 x", ["1", "2", "x"])
    [item] = items(tmp_path, 'id,tokens\n1,"[""a"", ""b c""]"\n', tokens="tokens", meta=[])
    assert (item.fields["text"], item.meta) == ("a b c", {"tokens": ["a", "b c"]})


def test_tokens_beside_another_text(tmp_path):
    rows = "id,words,question,text\n1,a  b,why,old\n"
    [item] = items(tmp_path, rows, tokens="words", text=["text", "question"])
    assert dict(item.fields) == {"text": "a b", "question": "why"}
    assert item.meta == {"tokens": ["a", "b"]}


def test_tokens_that_are_not_there(tmp_path):
    message = refused(items, tmp_path, "id,text\n1,x\n", tokens="words")
    assert message.endswith("items.csv:2: no column 'words'; the columns are: id, text")
    message = refused(items, tmp_path, "id,words\n1,\n", tokens="words")
    assert message.endswith("item '1' has no text in words; fill it in, or take the item out")


PIXEL = (  # a whole PNG of one point
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
URL = "https://example.org/1.png"


def test_pictures(tmp_path):
    (tmp_path / "one.png").write_bytes(base64.b64decode(PIXEL))
    rows = f"id,text,photo,scan,note\n1,x,one.png,{URL},n\n2,x,,,\n3,,,{URL},\n"
    first, second, third = items(tmp_path, rows, images=["photo", "scan"])
    photo = find_image("photo", "one.png", tmp_path)
    assert first.images == (photo, find_image("scan", URL, tmp_path))
    assert photo.digest
    assert (first.meta, second.images) == (
        {"photo": "one.png", "scan": "https://example.org/1.png", "note": "n"},
        (),
    )
    assert (third.fields, [image.name for image in third.images]) == ({"text": ""}, ["scan"])
    assert len({first.hash, second.hash, third.hash}) == 3


def test_pictures_without_any_text(tmp_path):
    rows = jsonl({"id": 1, "photo": URL}, {"id": 2, "photo": f"data:image/png;base64,{PIXEL}"})
    found = items(tmp_path, rows, "i.jsonl", images=["photo"])
    assert [(item.fields, len(item.images)) for item in found] == [({"text": ""}, 1)] * 2
    message = refused(items, tmp_path, rows, "i.jsonl", images=["photo"], text="text")
    assert message.endswith("no column 'text'; the columns are: id, photo")


def test_pictures_that_cannot_be_used(tmp_path):
    rows = "id,text,photo\n1,x,\n2,x,missing.png\n"
    message = refused(items, tmp_path, rows, images=["photo"])
    assert message.startswith(f"{tmp_path}/items.csv:3: ")
    assert "missing.png" in message
    message = refused(items, tmp_path, "id,text,photo\n1,,\n", images=["photo"])
    assert message.endswith("items.csv:2: item '1' has no text or picture in text, photo; " + FILL)
    message = refused(items, tmp_path, "id,text\n1,x\n", images=["photo"])
    assert message.endswith("no column 'photo'; the columns are: id, text")


FILL = "fill it in, or take the item out"


# Items that cannot


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("id,words\n1,x\n", "items.csv:2: no column 'text'; the columns are: id, words"),
        ("nr,text\n1,x\n", "items.csv:2: no column 'id'; the columns are: nr, text"),
        (
            "id,text\n1,x\n2,y\n1,z\n",
            "items.csv:4: id '1' is there already (line 2); ids must differ",
        ),
        ("id,text\n1,x\n,y\n", "items.csv:3: column 'id' is empty or no id; give every item an id"),
        ("id,text\n1,x\n  ,y\n", "items.csv:3: column 'id' is empty or no id"),
        (
            "id,text\n1,x\n2,\n",
            "items.csv:3: item '2' has no text in text; fill it in, or take the item out",
        ),
        ("id,text\n1,x\n2,  \n", "items.csv:3: item '2' has no text"),
        ("id,text\n1,a\0b\n", "items.csv:2: has a NUL byte; remove it"),
        (b"id,text\n1,caf\xc3\xa9\n2,caf\xe9\n", "items.csv:3: not valid UTF-8 (byte 0xe9"),
        (b"\xff\xfei\x00d\x00", "items.csv:1: not valid UTF-8"),
        ('id,text\n1,"open\n', "items.csv:2: a double quote opened here is never closed"),
        ("id,text\n1,x,y\n", "items.csv:2: has 3 cells where the header has 2"),
        ("", "items.csv: is empty"),
    ],
)
def test_a_bad_csv_is_one_line(tmp_path, text, error):
    message = refused(items, tmp_path, text)
    assert message.startswith(f"{tmp_path}/{error}")


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"id": 1, "words": "x"}], "items.jsonl:1: no column 'text'; the columns are: id, words"),
        ([{"nr": 1, "text": "x"}], "items.jsonl:1: no column 'id'"),
        ([{"id": 1, "text": "x"}, {"text": "y"}], "items.jsonl:2: no column 'id'"),
        ([{"id": [1], "text": "x"}], "items.jsonl:1: column 'id' is empty or no id"),
        ([{"id": None, "text": "x"}], "items.jsonl:1: column 'id' is empty or no id"),
        ([{"id": 1, "text": None}], "items.jsonl:1: item '1' has no text in text"),
        (
            [{"id": 1, "text": "x"}, {"id": "1", "text": "y"}],
            "items.jsonl:2: id '1' is there already (line 1)",
        ),
        ([{"id": 1, "text": "\ud800"}], "items.jsonl:1: has half of a surrogate pair; remove it"),
        ([{"id": 1, "text": "a\0"}], "items.jsonl:1: has a NUL character; remove it"),
    ],
)
def test_a_bad_jsonl_is_one_line(tmp_path, rows, error):
    message = refused(items, tmp_path, jsonl(*rows), "items.jsonl")
    assert message.startswith(f"{tmp_path}/{error}")


def test_a_column_that_no_row_of_jsonl_has(tmp_path):
    rows = jsonl({"id": 1, "text": "x"}, {"id": 2, "text": "y"})
    message = refused(items, tmp_path, rows, "i.jsonl", text=["text", "titel"])
    assert message.endswith("i.jsonl: no column 'titel'; the columns are: id, text")
    message = refused(items, tmp_path, "id,text\n1,x\n", meta=["source"])
    assert message.endswith("items.csv:2: no column 'source'; the columns are: id, text")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nothing.csv: no such file; check the path"):
        next(read_items(tmp_path, ItemsConfig(path="nothing.csv")))
    with pytest.raises(InputError, match=r"items.txt: unknown kind of file"):
        items(tmp_path, "x", "items.txt")


def test_an_items_text_may_hold_anything(tmp_path):
    [item] = items(tmp_path, jsonl({"id": 1, "text": TEXT}), "i.jsonl")
    assert item == Item("1", {"text": TEXT})
