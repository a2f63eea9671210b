"""Items and gold from users' own tables, good and bad."""

import base64
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelstudio_rules import TEXT, case, named, span
from labelstudio_rules import task_of as any_task

from prelabel.config import GoldConfig, ItemsConfig
from prelabel.errors import InputError
from prelabel.exchange.cells import as_label, as_text
from prelabel.exchange.items import one_each, read_gold, read_items
from prelabel.guideline import Guideline
from prelabel.images import find_image
from prelabel.records import Item
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
    assert (first.meta, second.images) == ({"note": "n"}, ())
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


# Gold


def test_gold(tmp_path):
    rows = "id,label,split,author,note\n1,A-Alias ,test,ann,x\n2,b,,,\n3,,test,,\n"
    found = gold(tmp_path, rows)
    assert [(g.item_id, g.label, g.split, g.author) for g in found] == [
        ("1", "a", "test", "ann"),
        ("2", "b", "", ""),
    ]


def test_gold_of_numeric_labels(tmp_path):
    task = task_of(labels=("0", "1", "true"))
    rows = jsonl(
        {"id": 1, "label": 0},
        {"id": 2, "label": 1.0},
        {"id": 3, "label": True},
        {"id": 4, "label": None},
    )
    assert [g.label for g in gold(tmp_path, rows, "g.jsonl", task)] == ["0", "1", "true"]


def test_gold_lists(tmp_path):
    task = task_of("multi-label", ("a", "b", "c;d"))
    rows = jsonl(
        {"id": 1, "label": ["b", "a"]}, {"id": 2, "label": []}, {"id": 3}, {"id": 4, "label": "a"}
    )
    found = gold(tmp_path, rows, "g.jsonl", task)
    assert [(g.item_id, g.label) for g in found] == [("1", ["a", "b"]), ("2", []), ("4", ["a"])]


def test_gold_lists_in_a_csv(tmp_path):
    task = task_of("multi-label", ("a", "b", "c;d"))
    rows = 'id,label\n1,"[""b"", ""c;d""]"\n2,[]\n3,\n4, a \n'
    expected = [("1", ["b", "c;d"]), ("2", []), ("4", ["a"])]
    assert [(g.item_id, g.label) for g in gold(tmp_path, rows, task=task)] == expected
    rows = "id,label\n1, b ; a;\n2,[]\n3,\n4,a\n5, \n"
    found = gold(tmp_path, rows, task=task, separator=";")
    assert [(g.item_id, g.label) for g in found] == [("1", ["a", "b"]), ("2", []), ("4", ["a"])]


def test_an_export_is_read_back_as_gold(tmp_path):
    from prelabel.exchange.tables import write_rows

    task = task_of("multi-label")
    labels = [["a"], [], ["a", "b"]]
    for name in ("g.csv", "g.tsv", "g.jsonl", "g.parquet"):
        rows = [{"id": str(n), "label": label} for n, label in enumerate(labels)]
        write_rows(tmp_path / name, rows, ["id", "label"])
        found = read_gold(tmp_path, GoldConfig(path=name), task)
        assert [g.label for g in found] == labels


def test_gold_of_objects_and_lists_with_their_items(tmp_path):
    task, [_, item, _], [_, spans, _] = case("spans")
    rows = jsonl(
        {"id": item.id, "label": spans},
        {"id": "gone", "label": spans[:1]},
        {"id": "none", "label": []},
    )
    found = read_gold_of(tmp_path, rows, task, {item.id: item})
    assert [g.label for g in found] == [spans, spans[:1], []]
    wrong = jsonl({"id": item.id, "label": [spans[0] | {"start": 3, "end": 6}]})
    with pytest.raises(
        InputError, match=r"g.jsonl:1: gold label span 3 to 6 is 'nn ', not 'Ann'; offs"
    ):
        read_gold_of(tmp_path, wrong, task, {item.id: item})
    one = f'id,label\n{item.id},"[[2, 5, ""person""]]"\n'.encode()
    (tmp_path / "g.csv").write_bytes(one)
    [found] = read_gold(tmp_path, GoldConfig(path="g.csv"), task, {item.id: item})
    assert found.label == [span(2, 5, "person")]


def read_gold_of(tmp_path, rows, task, items):
    (tmp_path / "g.jsonl").write_text(rows)
    return read_gold(tmp_path, GoldConfig(path="g.jsonl"), task, items)


def test_gold_as_tags_of_the_items_tokens(tmp_path):
    task = any_task("spans", labels=named("place"))
    rows = jsonl({"id": 1, "tokens": ["In", "Łódź", "😀"], "tags": ["O", "B-place", "O"]})
    [item] = items(tmp_path, rows, "i.jsonl", tokens="tokens")
    config = GoldConfig(path="i.jsonl", label="tags")
    [found] = read_gold(tmp_path, config, task, {item.id: item})
    assert found.label == [{"start": 3, "end": 7, "text": "Łódź", "label": "place"}]


def test_gold_of_numbers_and_free_text(tmp_path):
    rating, *_ = case("rating by halves")
    rows = jsonl({"id": 1, "label": 1}, {"id": 2, "label": "0.5"}, {"id": 3, "label": 2.0})
    assert [g.label for g in gold(tmp_path, rows, "g.jsonl", rating)] == [1.0, 0.5, 2.0]
    text, *_ = case("text")
    rows = 'id,label\n1,"[""x""]"\n2, y \n3,12\n4,\n'
    assert [g.label for g in gold(tmp_path, rows, task=text)] == ['["x"]', "y", "12"]
    rows = 'id,label\r\n1,"x\r\ny"\r\n'
    assert [g.label for g in gold(tmp_path, rows, task=text)] == ["x\r\ny"]


def test_authors_that_differ_on_objects(tmp_path):
    task, [_, item, _], [_, spans, _] = case("spans")
    rows = jsonl(
        {"id": item.id, "label": spans[:1], "author": "ann"},
        {"id": item.id, "label": spans[:1][::-1], "author": "bob"},
    )
    found = read_gold_of(tmp_path, rows, task, {item.id: item})
    assert len(one_each(found)) == 1
    other = [replace(found[0], label=[]), found[1]]
    with pytest.raises(InputError, match="has different labels by 'ann' and 'bob'"):
        one_each(other)


def test_the_label_that_an_attack_wants(tmp_path):
    rows = "id,label,lure\n1,a,b-alias\n2,b,\n"
    assert [g.lure for g in gold(tmp_path, rows, lure="lure")] == ["b", None]
    assert [g.lure for g in gold(tmp_path, rows)] == [None, None]
    message = refused(gold, tmp_path, "id,label,lure\n1,a,c\n", lure="lure")
    assert message.endswith("gold.csv:2: lure 'c' is not one of: a, b; mend it or the guideline")
    message = refused(gold, tmp_path, rows, lure="wanted")
    assert message.endswith("no column 'wanted'; the columns are: id, label, lure")


def test_an_items_text_may_hold_anything(tmp_path):
    [item] = items(tmp_path, jsonl({"id": 1, "text": TEXT}), "i.jsonl")
    assert item == Item("1", {"text": TEXT})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "id,label\n1,a\n2,Not a.\n",
            "gold.csv:3: gold label 'Not a.' is not one of: a, b; mend it or the guideline",
        ),
        ("id,label\n1,a\n1,b\n", "gold.csv:3: item '1' has gold already (line 2); keep one label"),
        ("id,label\n,a\n", "gold.csv:2: column 'id' is empty or no id"),
        ("id,gold\n1,a\n", "gold.csv:2: no column 'label'; the columns are: id, gold"),
        ("id,label\n1,abstain\n", "gold.csv:2: gold label 'abstain' is not one of"),
        ('id,label\n1,"[""a"", ""b""]"\n', "gold.csv:2: gold label ['a', 'b'] is not one of"),
        ("id,label\n1,[]\n", "gold.csv:2: gold label [] is not one of"),
        (b"id,label\n1,\xe9\n", "gold.csv:2: not valid UTF-8"),
    ],
)
def test_bad_gold_is_one_line(tmp_path, text, error):
    assert refused(gold, tmp_path, text).startswith(f"{tmp_path}/{error}")


def test_two_authors_may_differ(tmp_path):
    found = gold(tmp_path, "id,label,author\n1,a,ann\n1,b,bob\n")
    assert [(g.label, g.author) for g in found] == [("a", "ann"), ("b", "bob")]


def test_columns_that_were_named_must_be_there(tmp_path):
    assert gold(tmp_path, "id,label\n1,a\n")[0].split == ""
    for name in ("split", "author"):
        message = refused(gold, tmp_path, "id,label\n1,a\n", **{name: "fold"})
        assert message.endswith("gold.csv:2: no column 'fold'; the columns are: id, label")
    assert gold(tmp_path, "id,label\n1,a\n", split=None)[0].split == ""


def test_too_many_labels_in_gold(tmp_path):
    task = task_of("multi-label", max_labels=1)
    message = refused(gold, tmp_path, "id,label\n1,a;b\n", task=task, separator=";")
    assert message.endswith(
        "gold.csv:2: gold label 2 labels where the guideline allows 1; mend it or the guideline"
    )


def test_cells():
    assert [as_text(v) for v in (None, "x ", 1, 1.0, 1.5, True, [1], 1e20)] == [
        "", "x ", "1", "1", "1.5", "true", "[1]", "100000000000000000000",
    ]  # fmt: skip
    assert as_label("[x", None) == "[x"
    assert as_label("[1]", None) == ["1"]
    assert as_label(";", ";") == []
    assert as_label(" ", None) is as_label("", ";") is as_label(None, None) is None
    assert as_label({"a": 1.0}, None) == as_label(' {"a": 1.0}\n', ";") == {"a": 1.0}
    assert as_label('{"a": 1}', None, free_text=True) == '{"a": 1}'
    assert as_label([{"a": 1}, 2], None) == [{"a": 1}, 2]
