import os
from pathlib import Path

import pytest
from labelstudio_rules import CASES, case

from prelabel.errors import InputError
from prelabel.exchange.export import (
    export_columns,
    export_rows,
    said_of_itself,
    several_units,
)
from prelabel.exchange.items import read_gold
from prelabel.exchange.recorded import read_recorded
from prelabel.exchange.tables import read_rows, write_rows
from prelabel.records import Adjudication, Annotation, Consensus, Item, Routed
from prelabel.settings import GoldConfig

GOLDEN = Path(__file__).parent / "golden"
NAMES = {"f1": "gpt-x", "f2": "local/small"}
PROVENANCE = {"guideline_hash": "g1", "rule_hash": "r1", "exported_by": "prelabel 0.0.0"}
ITEMS = [
    Item("a", {"text": '=HYPERLINK("x")', "label": "theirs"}, {"channel": "mail"}),
    Item("b", {"text": "two\nlines, שלום 🙂", "label": "-1.5"}),
    Item("c", {"text": "all failed", "label": ""}),
    Item("d", {"text": "nobody yet", "label": ""}),
]


def annotation(item_id, annotator, outcome="labeled", label=None, **more):
    return Annotation(item_id, "h", annotator, "g1", outcome, label, **more)


def facts(multi=False):
    def label(name):
        return [name] if multi else name

    def routed(item_id, name, agreement, votes, *reasons):
        shares = {"x": 1.0, "y": agreement} if multi else {"": agreement}
        found = Consensus(
            item_id, name and label(name), agreement, votes, (), (votes and shares) or {}
        )
        return Routed(item_id, found, accepted=not reasons, reasons=reasons)

    said = {
        "a": [annotation("a", "f1", label=label("x")), annotation("a", "f2", label=label("x"))],
        "b": [
            annotation("b", "f2", label=label("y"), created=2.0),
            annotation("b", "f2", "failed", failure="timeout", created=1.0),
            annotation("b", "f1", label=label("x")),
        ],
        "c": [
            annotation("c", "f1", "failed", failure="refused"),
            annotation("c", "f2", "abstained"),
        ],
    }
    rows = [
        routed("a", "x", 1.0, 2),
        routed("b", "x", 0.5, 2, "agreement 0.50 < 0.80", "tied"),
        routed("c", None, None, 0, "no votes"),
        routed("d", None, None, 0, "no votes"),
    ]
    return {row.item_id: row for row in rows}, said


def export(multi=False, names=NAMES, provenance=PROVENANCE):
    routed, said = facts(multi)
    return list(export_rows(ITEMS, routed, said, names, provenance))


COLUMNS = export_columns(["text", "label"], NAMES, ["channel"])


def test_columns():
    assert COLUMNS == [
        "id",
        "text",
        "field.label",
        "meta.channel",
        "label",
        "status",
        "reasons",
        "suggestion",
        "agreement",
        "confidence",
        "votes",
        "cause",
        "adjudicated_by",
        "annotator.gpt-x.label",
        "annotator.gpt-x.outcome",
        "annotator.local/small.label",
        "annotator.local/small.outcome",
        "guideline_hash",
        "rule_hash",
        "exported_by",
    ]
    for row in export():
        assert set(COLUMNS) - set(row) <= {"meta.channel"}
        assert set(row) - set(COLUMNS) == {"agreement_by_unit"}
    columns = export_columns(["agreement_by_unit"], NAMES, by_unit=True)
    assert [name for name in columns if "agreement" in name] == [
        "field.agreement_by_unit",
        "agreement",
        "agreement_by_unit",
    ]


def test_only_what_was_accepted_has_a_label():
    result = ("label", "status", "reasons", "suggestion", "agreement", "votes")
    assert [tuple(row[name] for name in result) for row in export()] == [
        ("x", "accepted", [], None, 1.0, 2),
        (None, "review", ["agreement 0.50 < 0.80", "tied"], "x", 0.5, 2),
        (None, "review", ["no votes"], None, None, 0),
        (None, "unlabeled", [], None, None, 0),
    ]


def test_agreement_by_unit():
    assert [row["agreement_by_unit"] for row in export()] == [None] * 4
    shares = [row["agreement_by_unit"] for row in export(multi=True)]
    assert shares == [{"x": 1.0, "y": 1.0}, {"x": 1.0, "y": 0.5}, None, None]
    assert [several_units(facts(multi)[0].values()) for multi in (False, True)] == [False, True]
    assert not several_units([])


def test_what_annotators_said_of_themselves(tmp_path):
    routed, said = facts()
    assert said_of_itself(said, NAMES) == set()
    said["a"][1] = annotation("a", "f2", label="x", extras={"confidence": 0.85, "parts": 2})
    said["b"][0] = annotation("b", "f2", label="y", created=2.0, extras={"confidence": 0.0})
    said["b"][2] = annotation("b", "f1", label="x", extras={"consistency": 0.6, "samples": 5})
    of_itself = said_of_itself(said, NAMES)
    columns = export_columns(["text", "label"], NAMES, of_itself=of_itself)
    assert [c for c in columns if c not in COLUMNS] == [
        "annotator.gpt-x.consistency",
        "annotator.local/small.confidence",
    ]
    assert columns[columns.index("annotator.gpt-x.outcome") + 1] == "annotator.gpt-x.consistency"
    path = tmp_path / "out.jsonl"
    write_rows(path, export_rows(ITEMS, routed, said, NAMES, PROVENANCE), columns)
    rows = [row.cells for row in read_rows(path)]
    assert [row["annotator.local/small.confidence"] for row in rows] == [0.85, 0.0, None, None]
    assert [row["annotator.gpt-x.consistency"] for row in rows] == [None, 0.6, None, None]


def test_an_item_without_a_route_is_unlabeled():
    [row] = export_rows(ITEMS[:1], {}, {}, NAMES, PROVENANCE)
    assert (row["status"], row["votes"]) == ("unlabeled", 0)


def test_each_annotators_last_word_with_its_outcome():
    parts = [(f"annotator.{n}.outcome", f"annotator.{n}.label") for n in NAMES.values()]
    assert [[(row[a], row[b]) for a, b in parts] for row in export()] == [
        [("labeled", "x"), ("labeled", "x")],
        [("labeled", "x"), ("labeled", "y")],
        [("failed", None), ("abstained", None)],
        [(None, None), (None, None)],
    ]


def test_provenance():
    row = export(provenance={"guideline_hash": "g1"})[0]
    assert (row["guideline_hash"], row["rule_hash"]) == ("g1", None)
    assert row["exported_by"].split()[0] == "prelabel"


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_golden(tmp_path, suffix, multi):
    golden = GOLDEN / f"export{'_multi' if multi else ''}{suffix}"
    path = tmp_path / f"out{suffix}"
    write_rows(path, export(multi), COLUMNS)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(path.read_bytes())
    assert path.read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_come_back_as_they_were(tmp_path, suffix, multi):
    rows = [{name: row.get(name) for name in COLUMNS} for row in export(multi)]
    write_rows(tmp_path / f"out{suffix}", rows, COLUMNS)
    assert [row.cells for row in read_rows(tmp_path / f"out{suffix}")] == rows


def test_texts_come_back_from_csv(tmp_path):
    write_rows(tmp_path / "out.csv", export(), COLUMNS)
    found = [row.cells for row in read_rows(tmp_path / "out.csv", guarded=True)]
    assert [row["text"] for row in found] == [item.fields["text"] for item in ITEMS]
    assert [row["field.label"] for row in found] == ["theirs", "-1.5", "", ""]


def test_annotators_without_one_name_each():
    with pytest.raises(InputError, match="export: two annotators are named 'same'; rename one"):
        export(names={"f1": "same", "f2": "same"})
    with pytest.raises(InputError, match="two annotators are named"):
        export_columns([], {"f1": "same", "f2": "same"})
    with pytest.raises(InputError, match="item 'a' has an annotation of unknown annotator 'f2'"):
        export(names={"f1": "gpt-x"})


# Every task type


def exported(tmp_path, suffix, name, formulas=True):
    """Write an export in which one annotator gave, and the rule accepted, each label."""
    task, items, labels = case(name)
    if task.name == "text" and formulas:
        labels = [*labels, "=1+1", "- a list", "'@x", '"quoted", with a comma']
        items = [Item(f"i{n}", items[0].fields) for n in range(len(labels))]
    said, routed = {}, {}
    for item, label in zip(items, labels, strict=True):
        votes = task.votes(label)
        said[item.id] = [Annotation(item.id, item.hash, "f1", "g1", "labeled", label)]
        found = Consensus(item.id, label, 1.0, 1, (), dict.fromkeys(votes, 1.0))
        routed[item.id] = Routed(item.id, found, accepted=True)
    names, path = {"f1": "m"}, tmp_path / f"out{suffix}"
    columns = export_columns(list(items[0].fields), names, ["n"], by_unit=True)
    write_rows(path, export_rows(items, routed, said, names, PROVENANCE), columns)
    return path, task, items, labels


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", CASES)
def test_an_export_is_imported_as_annotations(tmp_path, suffix, name):
    path, task, items, labels = exported(tmp_path, suffix, name)
    guarded = suffix in {".csv", ".tsv"}
    found = list(
        read_recorded(
            path,
            annotators=["annotator.m.label"],
            free_text=task.name == "text",
            guarded=guarded,
        )
    )
    assert [one.item_id for one in found] == [item.id for item in items]
    back = [task.match(one.value, item) for one, item in zip(found, items, strict=True)]
    assert [(label, type(label)) for label in back] == [(label, type(label)) for label in labels]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", CASES)
def test_an_export_is_read_as_gold(tmp_path, suffix, name):
    # a CSV export is guarded against formulas; gold is read as it stands
    path, task, items, labels = exported(tmp_path, suffix, name, formulas=suffix != ".csv")
    by_id = {item.id: item for item in items}
    found = read_gold(tmp_path, GoldConfig(path=path.name), task, by_id)
    assert [(one.item_id, one.label) for one in found] == [
        (item.id, label) for item, label in zip(items, labels, strict=True)
    ]


def test_what_people_settled_is_the_label():
    routed, said = facts()
    settled = {"b": Adjudication("b", "y", "ada", "annotator_error", "", 0.0)}
    rows = {r["id"]: r for r in export_rows(ITEMS, routed, said, NAMES, PROVENANCE, settled)}
    assert (rows["b"]["label"], rows["b"]["status"]) == ("y", "adjudicated")
    assert (rows["b"]["cause"], rows["b"]["adjudicated_by"]) == ("annotator_error", "ada")
    assert rows["b"]["suggestion"] == "x"
    assert rows["a"]["status"] == "accepted"
    assert rows["a"]["cause"] is None
