"""Gold from users' own tables: labels of every shape, good and bad."""

from dataclasses import replace

import pytest
from labelstudio_rules import case, named, span
from labelstudio_rules import task_of as any_task
from test_items import gold, items, jsonl, refused, task_of

from prelabel.errors import InputError
from prelabel.exchange.cells import as_label, as_text
from prelabel.exchange.items import one_each, read_gold
from prelabel.settings import GoldConfig


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
