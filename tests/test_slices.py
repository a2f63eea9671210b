"""Scores by slice: how columns are cut, second implementations, and what a verdict promises."""

import math

import numpy as np
import pandas as pd
import pytest
from every_task import GUIDELINES, task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from test_babe import recorded

from prelabel.errors import InputError
from prelabel.paired import corrected
from prelabel.records import Item
from prelabel.shares import fisher_midp
from prelabel.slices import ENOUGH, Cut, cut, cuts_of, macro_f1, main_figure, slice_scores


def judged_of(table, name="m"):
    """Return a row an item, from pairs of gold and given."""
    rows = [(str(n), name, a, b, a == b) for n, (a, b) in enumerate(table)]
    return pd.DataFrame(rows, columns=["item", "annotator", "gold", "given", "right"])


def drawn(seed, n, right, name="m"):
    """Return judged items whose chance to be right is ``right``, one number or one an item."""
    rng = np.random.default_rng(seed)
    ok = rng.random(n) < right
    gold = rng.choice(["a", "b", "c"], n)
    return judged_of([(g, g if k else "z") for g, k in zip(gold, ok, strict=True)], name)


def test_second_implementation(shared_data):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    items = pd.read_csv(folder / "items.csv.gz", dtype=str)
    long = recorded(folder, "2-shot").merge(items, left_on="item", right_on="uuid")
    long = long[(long["value"] != "?") & long["annotator"].str.startswith(("GPT", "Flan-UL2"))]
    judged = long.rename(columns={"value": "given"}).assign(right=long["value"] == long["gold"])
    columns = ("outlet", "topic", "type")
    cuts = {name: cut(name, items.set_index("uuid")[name].to_dict()) for name in columns}
    task = task_of("classification", labels=[{"name": n, "definition": n} for n in "01"])
    found = slice_scores(judged, cuts, main_figure(task)[1])
    assert len({one.annotator for one in found}) == 3
    parts = long["outlet"].nunique() + 21 + 4  # topic: 20 of 23 and the others; type: 3, missing
    assert len(found) == 3 * parts
    by = {(one.column, one.value, one.annotator): one for one in found}
    for (outlet, name), rows in judged.groupby(["outlet", "annotator"]):
        one = by["outlet", outlet, name]
        rest = judged[(judged["annotator"] == name) & (judged["outlet"] != outlet)]
        assert one.accuracy.value == pytest.approx(rows["right"].mean())
        assert one.elsewhere.value == pytest.approx(rest["right"].mean())
        assert one.gold_n == (items["outlet"] == outlet).sum()
        if len(rows) >= ENOUGH:
            f1 = f1_score(rows["gold"], rows["given"], average="macro")
            assert one.metric.value == pytest.approx(f1)
            assert one.metric.low <= f1 <= one.metric.high
        else:
            assert one.metric.value is None
    assert by["type", "(missing)", "GPT-4 Turbo"].gold_n == items["type"].isna().sum()
    raw = [
        fisher_midp(
            *(round(one.accuracy.value * one.accuracy.n), one.accuracy.n),
            *(round(one.elsewhere.value * one.elsewhere.n), one.elsewhere.n),
        )
        for one in found
    ]
    assert [one.p for one in found] == pytest.approx(raw)
    assert [one.p_corrected for one in found] == pytest.approx(corrected(raw))
    assert by["outlet", "Alternet", "GPT-3.5 Turbo"].verdict == "higher"
    assert all((one.verdict != "") == (one.p_corrected < 0.05) for one in found)


def test_a_column_of_two_values_is_one_test():
    judged = drawn(1, 200, 0.8)
    of = {str(n): "x" if n < 80 else "y" for n in range(200)}
    one, other = slice_scores(judged, {"k": Cut(("x", "y"), of)})
    assert one.p == pytest.approx(other.p) == one.p_corrected == other.p_corrected
    assert one.difference.value == pytest.approx(-other.difference.value)


def test_what_is_not_so_is_rarely_shown_and_what_is_so_often():
    wrong = shown = 0
    of = {str(n): f"s{n % 12}" for n in range(600)}
    cuts = {"k": Cut(tuple(f"s{k}" for k in range(12)), of)}
    chance = np.where(np.arange(600) % 12 == 0, 0.5, 0.9)
    for seed in range(60):
        wrong += any(one.verdict for one in slice_scores(drawn(seed, 600, 0.85), cuts))
        found = slice_scores(drawn(seed, 600, chance), cuts)
        shown += found[0].verdict == "lower"
    assert wrong <= 8  # .05 of 60 is 3
    assert shown > 50


def test_a_slice_where_nothing_was_labeled():
    judged = drawn(1, 30, 0.8)
    of = {str(n): "x" for n in range(30)} | {"other": "y"}
    one, other = slice_scores(judged, {"k": Cut(("x", "y"), of)})
    assert (other.gold_n, other.accuracy.value, other.p, other.verdict) == (1, None, None, "")
    assert other.accuracy.why == "nothing was labeled"
    assert one.elsewhere.why == "no other gold item was labeled"
    assert one.metric.why == f"fewer than {ENOUGH} labeled items"


def test_many_numbers_become_bins():
    values = {str(n): str(n) for n in range(100)} | {"none": "", "nan": math.nan}
    found = cut("age", values)
    assert found.names == ("0 to 24", "25 to 49", "50 to 74", "75 to 99", "(missing)")
    assert found.of["24"] == "0 to 24"
    assert found.of["nan"] == found.of["none"] == "(missing)"
    assert found.note == "age: 100 different numbers, cut into 4 bins by quantiles"
    tied = cut("n", {str(k): 0 if k < 60 else k for k in range(100)})
    assert tied.names == ("0 to 0", "60 to 74", "75 to 99")


def test_few_numbers_and_codes_and_texts_are_slices():
    years = cut("year", {"a": 2021, "b": "2019", "c": 2021.0, "d": -0.5})
    assert years.names == ("-0.5", "2019", "2021")
    assert years.of["c"] == "2021"
    codes = cut("zip", {str(n): f"0{n}" for n in range(30)})
    assert len(codes.names) == 21  # zeros ahead: no numbers
    assert cut("ok", {"a": True, "b": False, "c": None}).names == ("false", "true", "(missing)")
    assert cut("tags", {"a": ["x"], "b": ["x"]}).names == ('["x"]',)


def test_of_many_texts_the_largest_are_slices():
    values = {f"{name}{n}": f"t{name:02d}" for name in range(25) for n in range(name + 1)}
    found = cut("topic", values)
    assert found.names[0] == "t24"
    assert found.names[-1] == "(5 other values)"
    assert len(found.names) == 21
    assert sum(value == "(5 other values)" for value in found.of.values()) == 15
    assert "25 different values, the 20 with most gold items" in found.note


@settings(max_examples=150)
@given(
    st.lists(
        st.none() | st.text(max_size=3) | st.integers() | st.floats(allow_infinity=False)
        | st.booleans() | st.lists(st.text(max_size=2), max_size=2),
        max_size=60,
    )
)  # fmt: skip
def test_any_column_is_cut_whole(cells):
    values = {str(n): cell for n, cell in enumerate(cells)}
    found = cut("c", values)
    assert found.of.keys() == values.keys()
    assert set(found.of.values()) == set(found.names)
    assert len(set(found.names)) == len(found.names)


def test_columns_of_items():
    items = [Item("1", {"text": "x"}, {"a": "p", "b": 1}), Item("2", {"text": "y"}, {"a": "q"})]
    assert cuts_of(items, {"2"}, ["a"])["a"].of == {"2": "q"}
    with pytest.raises(InputError, match="no metadata column 'c' in the items; there are: a, b"):
        cuts_of(items, {"2"}, ["c"])


def test_macro_f1_of_sets_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    gold, said = (rng.random((80, 3)) < 0.4 for _ in range(2))
    sets = [
        tuple(tuple(np.flatnonzero(row)) for row in pair) for pair in zip(gold, said, strict=True)
    ]
    assert macro_f1(sets).value == pytest.approx(f1_score(gold, said, average="macro"))
    assert macro_f1([((), ())]).value is None


SOME = {
    "classification": ["a", "b"],
    "multi-label": [["a"], ["a", "b"]],
    "hierarchical": [["a", "x"], ["c"]],
    "spans": [[], [{"start": 0, "end": 3, "text": "Ann", "label": "a"}]],
    "rating": [1, 5],
    "pairwise": ["A", "tie"],
    "extraction": [{"price": 1}, {"what": "x"}],
    "matching": ["match", "no_match"],
    "relations": [[], [{"head": "T1", "label": "a", "tail": "T2"}]],
    "text": ["x", "y"],
}


@pytest.mark.parametrize("name", GUIDELINES)
def test_every_task_has_a_main_figure(name):
    metric, figure = main_figure(task_of(name))
    gold, other = SOME[name] * 30, SOME[name][::-1] * 30
    assert figure(gold, gold).value == 1.0, metric
    assert figure(gold, gold).n == 60
    assert figure(gold, other).value <= 0.6
