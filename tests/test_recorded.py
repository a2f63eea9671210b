import collections
import csv
import json

import pytest

from prelabel.errors import InputError
from prelabel.exchange.recorded import Recorded, read_recorded
from prelabel.exchange.tables import write_rows


def read(tmp_path, content, name="runs.csv", **settings):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    else:
        columns = list(dict.fromkeys(column for row in content for column in row))
        write_rows(path, content, columns)
    return list(read_recorded(path, **settings))


def brief(found):
    return [(r.item_id, r.annotator, r.kind, r.value) for r in found]


def message(tmp_path, content, name="runs.csv", **settings):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, name, **settings)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{tmp_path}/", "")


def test_wide(tmp_path):
    content = 'id,a,b,note\n1,x,?,hm\n2, ,declined,\n3,y z," ? ",\n'
    settings = {"ignore": ["note"], "unusable": ["?"], "abstained": ["declined"]}
    assert read(tmp_path, content, **settings) == [
        Recorded(2, "1", "a", "label", "x"),
        Recorded(2, "1", "b", "unusable"),
        Recorded(3, "2", "b", "abstained"),
        Recorded(4, "3", "a", "label", "y z"),
        Recorded(4, "3", "b", "unusable"),
    ]
    assert brief(read(tmp_path, content, annotators=["note", "note"])) == [
        ("1", "note", "label", "hm")
    ]


def test_long_with_confidence(tmp_path):
    content = "who,item,said,sure\na,1,x,0.5\nb,1,?,\na,2,,0.1\nb,2,y,1\n"
    settings = {"item": "item", "annotator": "who", "label": "said", "confidence": "sure"}
    assert read(tmp_path, content, layout="long", unusable=["?"], **settings) == [
        Recorded(2, "1", "a", "label", "x", 0.5),
        Recorded(3, "1", "b", "unusable"),
        Recorded(5, "2", "b", "label", "y", 1.0),
    ]


def test_marks(tmp_path):
    content = "id,a\n1,\n2,NA\n3,x\n"
    kinds = {"1": None, "2": "label", "3": "label"}
    assert {r.item_id: r.kind for r in read(tmp_path, content)} == {
        i: kind for i, kind in kinds.items() if kind
    }
    assert [r.item_id for r in read(tmp_path, content, missing=["", "NA"])] == ["3"]
    assert brief(read(tmp_path, content, missing=["NA"]))[0] == ("1", "a", "label", "")
    # What is named as unusable is so, though empty cells are missing by default.
    assert brief(read(tmp_path, content, unusable=[""]))[0] == ("1", "a", "unusable", None)
    assert message(tmp_path, content, unusable=["NA"], abstained=[" NA"]) == (
        "runs.csv: mark 'NA' is both unusable and abstained; name it in one of them"
    )


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.jsonl.gz", "runs.parquet"])
def test_values_that_are_not_texts(tmp_path, name):
    rows = [
        {"id": 1, "int": 1, "float": 1.0, "bool": True, "list": ["a", "b"], "null": None},
        {"id": 2.0, "int": -1, "float": None, "bool": False, "list": [], "null": None},
        {"id": 3, "int": 0, "float": 0.5, "bool": None, "list": None, "null": "x"},
    ]
    found = [(i, a, value) for i, a, kind, value in brief(read(tmp_path, rows, name)) if kind]
    assert found == [
        ("1", "int", "1"),
        ("1", "float", "1"),
        ("1", "bool", "true"),
        ("1", "list", ["a", "b"]),
        ("2", "int", "-1"),
        ("2", "bool", "false"),
        ("2", "list", []),
        ("3", "int", "0"),
        ("3", "float", "0.5"),
        ("3", "null", "x"),
    ]


def test_numbers_can_be_marks(tmp_path):
    rows = [{"id": "1", "a": -1}, {"id": "2", "a": 0.0}]
    found = read(tmp_path, rows, "runs.jsonl", unusable=["-1"], abstained=["0"])
    assert [r.kind for r in found] == ["unusable", "abstained"]


def test_lists_of_labels(tmp_path):
    content = "id,a\n1,x; y;\n2,z\n3,\n4,none\n"
    found = read(tmp_path, content, separator=";", abstained=["none"])
    assert [(r.item_id, r.value) for r in found] == [("1", ["x", "y"]), ("2", ["z"]), ("4", None)]
    found = read(tmp_path, content, separator=";", missing=[])
    assert [r.value for r in found] == [["x", "y"], ["z"], [], ["none"]]
    assert read(tmp_path, '{"id": 1, "a": ["x;y"]}', "r.jsonl", separator=";")[0].value == ["x;y"]
    assert read(tmp_path, '{"id": 1, "a": 7}', "r.jsonl", separator=";")[0].value == ["7"]


SPANS = [{"start": 0, "end": 3, "text": "Ann", "label": "person"}]


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.parquet"])
def test_labels_that_are_lists_and_objects(tmp_path, name):
    labels = [SPANS, [], {"price": 12.5, "tags": ["x"], "sold": True}, ["a", "b"], [[0, 3, "x"]]]
    rows = [{"id": n, "a": label} for n, label in enumerate(labels)]
    assert [r.value for r in read(tmp_path, rows, name)] == labels


def test_scalars_in_a_list_are_texts(tmp_path):
    content = '{"id": 1, "a": [1, 1.0, true, "x", null]}\n'
    assert read(tmp_path, content, "r.jsonl")[0].value == ["1", "1", "true", "x", None]
    assert read(tmp_path, 'id,a\n1,"[1, 2.5]"\n')[0].value == ["1", "2.5"]


@pytest.mark.parametrize(
    "text",
    [
        "[x",
        "{x}",
        "[1] see above",
        '"x"',
        "12",
        "null",
        "[NaN]",
        '["\\ud800"]',
        '["\\u0000"]',
        "[" * 9999,
    ],
)
def test_a_text_that_is_no_json_list_or_object_stays(tmp_path, text):
    (tmp_path / "runs.csv").write_text("")
    write_rows(tmp_path / "runs.csv", [{"id": 1, "a": text}], ["id", "a"])
    [found] = read_recorded(tmp_path / "runs.csv")
    assert found.value == text


def test_free_text_stays_what_it_is(tmp_path):
    content = 'id,a\n1,"[""x"",  1]"\n2,{}\n3, y \n'
    found = read(tmp_path, content, free_text=True)
    assert [r.value for r in found] == ['["x",  1]', "{}", " y "]
    assert [r.value for r in read(tmp_path, content)] == [["x", "1"], {}, " y "]


def test_marks_and_separators_of_json(tmp_path):
    content = 'id,a\n1,[]\n2,"[""x;y"", ""z""]"\n3,x;y\n4,{}\n'
    found = read(tmp_path, content, separator=";", abstained=["[]"], unusable=["{}"])
    assert [(r.kind, r.value) for r in found] == [
        ("abstained", None),
        ("label", ["x;y", "z"]),
        ("label", ["x", "y"]),
        ("unusable", None),
    ]


def test_guards_against_formulas(tmp_path):
    rows = [{"id": "1", "a": "=1+1"}, {"id": "2", "a": "'=x"}, {"id": "3", "a": "'"}]
    assert [r.value for r in read(tmp_path, rows, guarded=True)] == ["=1+1", "'=x", "'"]
    assert [r.value for r in read(tmp_path, rows)] == ["'=1+1", "''=x", "'"]


def test_line_ends_of_windows(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b'id,a\r\n1,"[""x\r\ny""]"\r\n2,"x\r\ny"\r\n')
    # JSON has no bare line end in a text: it is not JSON, and stays
    assert [r.value for r in read_recorded(tmp_path / "runs.csv")] == ['["x\r\ny"]', "x\r\ny"]


def test_jsonl_rows_may_leave_columns_out(tmp_path):
    content = '{"id": "1"}\n{"id": "2", "a": "x"}\n{"id": "3", "b": "y"}\n'
    wanted = [("2", "a", "label", "x"), ("3", "b", "label", "y")]
    assert brief(read(tmp_path, content, "runs.jsonl")) == wanted
    assert brief(read(tmp_path, content, "runs.jsonl", annotators=["b", "a"])) == wanted


def test_encoding(tmp_path):
    (tmp_path / "runs.csv").write_bytes("id,a\n1,Röte\n".encode("latin-1"))
    [found] = read_recorded(tmp_path / "runs.csv", encoding="latin-1")
    assert found.value == "Röte"


# Refusals


def test_twice_the_same_item(tmp_path):
    wide = "id,a,b\n1,x,y\n2,x,\n3,,\n3,x,y\n1,,y\n"
    assert message(tmp_path, wide) == (
        "runs.csv:6: item '1' of annotator 'b' is already in line 2; keep one of them"
    )
    long = 'annotator,id,label\na,1,"x\ny"\nb,1,x\na,1,?\n'
    assert message(tmp_path, long, layout="long", unusable=["?"]) == (
        "runs.csv:5: item '1' of annotator 'a' is already in line 2; keep one of them"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"item": "uuid"}, "runs.csv: no column 'uuid'; it has 'id', 'a', 'b'"),
        ({"annotators": ["a", "c"]}, "runs.csv: no column 'c'; it has 'id', 'a', 'b'"),
        ({"layout": "long"}, "runs.csv: no column 'annotator'; it has 'id', 'a', 'b'"),
        (
            {"layout": "long", "annotator": "a", "label": "b", "confidence": "p"},
            "runs.csv: no column 'p'; it has 'id', 'a', 'b'",
        ),
        ({"ignore": ["a", "b"]}, "runs.csv: no annotator's column beside 'id'; add one"),
        ({"annotators": []}, "runs.csv: no annotator's column beside 'id'; add one"),
        (
            {"annotators": ["id"]},
            "runs.csv: column 'id' is both item and annotator; name another",
        ),
        ({"confidence": "p"}, "runs.csv: no column 'p'; it has 'id', 'a', 'b'"),
        (
            {"confidence": "{}_p", "annotators": ["a"]},
            "runs.csv: no column '{}_p'; it has 'id', 'a', 'b'",
        ),
        (
            {"confidence": "a", "annotators": ["a", "b"]},
            "runs.csv: column 'a' is both annotator and confidence",
        ),
    ],
)
def test_columns_that_do_not_fit(tmp_path, settings, expected):
    assert message(tmp_path, "id,a,b\n1,x,y\n", **settings) == expected


def test_columns_that_no_row_of_jsonl_has(tmp_path):
    content = '{"id": "1", "annotator": "a"}\n{"id": "1", "annotator": "b", "said": "x"}\n'
    assert message(tmp_path, content, "runs.jsonl", layout="long") == (
        "runs.jsonl: no column 'label'; it has 'id', 'annotator', 'said'"
    )
    assert message(tmp_path, content, "runs.jsonl", item="uuid") == (
        "runs.jsonl:1: no column 'uuid'; it has 'id', 'annotator'"
    )
    assert message(tmp_path, content, "runs.jsonl", annotators=["c"]).startswith(
        "runs.jsonl: no column 'c'"
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": None, "a": "x"}, "runs.jsonl:2: column 'id' is empty or not a name; fill it"),
        ({"id": " ", "a": "x"}, "runs.jsonl:2: column 'id' is empty or not a name; fill it"),
        ({"id": ["1"], "a": "x"}, "runs.jsonl:2: column 'id' is empty or not a name; fill it"),
    ],
)
def test_cells_that_do_not_fit(tmp_path, row, expected):
    content = '{"id": "1", "a": "x"}\n' + json.dumps(row)
    assert message(tmp_path, content, "runs.jsonl") == expected


@pytest.mark.parametrize("wrong", ["high", "100.1", "-0.1", "-5%", "nan", "inf", "101%", "0,9"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_confidence_that_is_none(tmp_path, wrong, layout):
    head = "id,annotator,label,sure" if layout == "long" else "id,a,sure"
    cells = ",a,x" if layout == "long" else ",x"
    content = f'{head}\n1{cells},1e-3\n2{cells},"{wrong}"\n'
    text = message(tmp_path, content, layout=layout, confidence="sure")
    assert text == (
        f"runs.csv:3: confidence '{wrong}' is neither a number from 0 to 1 nor a percentage from "
        "0 to 100; mend it, or leave it empty"
    )


def sure(found):
    return [(r.item_id, r.annotator, r.confidence) for r in found]


@pytest.mark.parametrize(
    ("cells", "shares"),
    [
        (["0.25", "1", "0", "1.0"], [0.25, 1.0, 0.0, 1.0]),
        (["25", "1", "0", "100"], [0.25, 0.01, 0.0, 1.0]),
        (["1.5", "0.5"], [0.015, 0.005]),
        (["85%", " 7 % ", "1"], [0.85, 0.07, 0.01]),
        (["1%", "0.5"], [0.01, 0.005]),
        (["", " ", "90"], [None, None, 0.9]),
    ],
)
def test_the_whole_column_tells_whether_it_is_percent(tmp_path, cells, shares):
    rows = [{"id": n, "gpt": "x", "sure": cell} for n, cell in enumerate(cells)]
    found = read(tmp_path, rows, confidence="sure")
    assert [r.confidence for r in found] == pytest.approx(shares)
    assert {r.annotator for r in found} == {"gpt"}


@pytest.mark.parametrize("annotators", [None, ["gpt", "ann", "llama"]])
def test_each_annotator_has_a_column_of_its_own(tmp_path, annotators):
    content = "id,gpt,sure of gpt,ann,llama,sure of llama\n1,x,0.5,x,y,50\n2,y,1,y,,\n3,y,0,y,x,1\n"
    found = read(tmp_path, content, annotators=annotators, confidence="sure of {}")
    assert sure(found) == [
        ("1", "gpt", 0.5), ("1", "ann", None), ("1", "llama", 0.5),
        ("2", "gpt", 1.0), ("2", "ann", None),
        ("3", "gpt", 0.0), ("3", "ann", None), ("3", "llama", 0.01),
    ]  # fmt: skip


def test_one_column_is_not_of_two_annotators(tmp_path):
    assert message(tmp_path, "id,a,b,sure\n1,x,y,1\n", confidence="sure") == (
        "runs.csv: confidence 'sure' is of 'a' or of 'b'; name the annotator's column, or write {} "
        "for it, as in '{}_confidence'"
    )


def test_only_a_label_has_a_confidence(tmp_path):
    content = "id,a,sure\n1,x,0.5\n2,?,95\n3,,high\n4,no,-\n"
    marks = {"unusable": ["?"], "abstained": ["no"]}
    assert sure(read(tmp_path, content, confidence="sure", **marks)) == [
        ("1", "a", 0.5),
        ("2", "a", None),
        ("4", "a", None),
    ]


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet"])
def test_confidence_as_a_number(tmp_path, name):
    rows = [
        {"id": "1", "a": "x", "sure": 0.875},
        {"id": "2", "a": "x", "sure": None},
        {"id": "3", "a": "x", "sure": 1.0},
    ]
    assert [r.confidence for r in read(tmp_path, rows, name, confidence="sure")] == [0.875, None, 1]


# Public data


def test_unusable_counts_are_the_published_ones(shared_data):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    with (folder / "published.csv").open(encoding="utf-8") as stream:
        published = {
            row["model_name"].strip(): int(row["unusable_examples"])
            for row in csv.DictReader(stream)
            if row["run_type"] == "2 Shot"
        }
    found = list(read_recorded(folder / "llm_labels_2-shot.csv.gz", item="uuid", unusable=["?"]))
    assert {r.value for r in found} == {"0", "1", None}
    assert set(collections.Counter(r.annotator for r in found).values()) == {3021}
    unusable = collections.Counter(r.annotator for r in found if r.kind == "unusable")
    assert len({r.annotator for r in found}) == len(published) == 13
    assert sorted(unusable.values()) == sorted(filter(None, published.values()))
    assert unusable["falcon_7b"] == published["Falcon-7B-Instruct"] == 1821
    assert unusable["mistral_7b"] == published["Mistral-7B-v0.1 Instruct"] == 646


def test_recorded_experts_of_a_published_comparison(shared_data):
    path = shared_data / "llm_vs_human" / "babe_llm" / "expert_labels.csv.gz"
    found = list(read_recorded(path, item="uuid", layout="long"))
    assert len({r.annotator for r in found}) == 8
    assert len({r.item_id for r in found}) == 2694
