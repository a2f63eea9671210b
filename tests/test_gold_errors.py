"""How much of the gold is wrong: exact intervals, unbiased estimates, and the table read back."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom
from test_auditing import audited, of_forty

from prelabel.auditing import gold_audit
from prelabel.errors import InputError
from prelabel.estimate import Estimate
from prelabel.gold_errors import (
    Stratum,
    close_pairs,
    error_rate,
    finite_interval,
    gold_error,
)


def naive_interval(k, n, size, level=0.95):
    """Return the interval by trying every number of wrong labels there could be."""
    tail = (1 - level) / 2
    left = [
        whole
        for whole in range(k, size - (n - k) + 1)
        if hypergeom.sf(k - 1, size, whole, n) > tail and hypergeom.cdf(k, size, whole, n) > tail
    ]
    return min(left) / size, max(left) / size


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_interval_of_a_part_of_a_finite_whole(data):
    size = data.draw(st.integers(1, 120))
    n = data.draw(st.integers(1, size))
    k = data.draw(st.integers(0, n))
    assert finite_interval(k, n, size) == pytest.approx(naive_interval(k, n, size))
    low, high = finite_interval(k, n, size)
    assert low <= k / n <= high
    assert finite_interval(n - k, n, size) == pytest.approx((1 - high, 1 - low))


def test_of_a_very_large_whole_it_is_that_of_clopper_and_pearson():
    low, high = finite_interval(3, 50, 10_000_000)
    assert (low, high) == pytest.approx((beta.ppf(0.025, 3, 48), beta.ppf(0.975, 4, 47)), abs=1e-6)
    assert finite_interval(3, 50, 50) == (0.06, 0.06)
    with pytest.raises(ValueError, match="is needed, got 3, 2, 10"):
        finite_interval(3, 2, 10)


def test_error_rate():
    parts = [Stratum("suspicious", 60, 60, 45), Stratum("controls", 940, 40, 0)]
    found = error_rate(parts)
    assert found.value == pytest.approx(0.045)
    assert found.low == pytest.approx(0.045)  # the suspicious are all known
    assert found.high == pytest.approx(0.045 + 0.94 * finite_interval(0, 40, 940)[1])
    assert found.n == 100
    assert error_rate([Stratum("s", 0, 0, 0), Stratum("c", 10, 10, 1)]).value == pytest.approx(0.1)
    assert error_rate(parts[::-1]) == found


def test_an_unchecked_part_is_not_defined():
    found = error_rate([Stratum("suspicious", 9, 9, 1), Stratum("controls", 90, 0, 0)])
    assert (found.value, found.why) == (None, "none of the controls was adjudicated")
    assert error_rate([]).why == "no gold"


@pytest.mark.parametrize(("checked", "controls"), [(1.0, 40), (0.6, 40), (1.0, 150)])
def test_the_estimate_is_unbiased_and_its_interval_covers(checked, controls):
    """1,000 gold labels, 4 % wrong; a list of 60 suspicious ones holds 60 % of these."""
    rng = np.random.default_rng(7)
    values, held = [], 0
    for _ in range(200):
        n = int(60 * checked)
        wrong = rng.hypergeometric(24, 36, n)
        others = rng.hypergeometric(16, 924, controls)
        found = error_rate(
            [
                Stratum("suspicious", 60, n, wrong),
                Stratum("controls", 940, controls, others),
            ]
        )
        values.append(found.value)
        held += found.low <= 0.04 <= found.high
    assert np.mean(values) == pytest.approx(0.04, abs=3 * np.std(values) / np.sqrt(200))
    assert held >= 0.94 * 200


def test_close_pairs():
    right = {
        "a": {str(n): n < 90 for n in range(100)},
        "b": {str(n): n < 87 for n in range(100)},
        "c": {str(n): n >= 60 for n in range(100)},
    }
    found = close_pairs(right, Estimate(0.04, 0.02, 0.06, 100))
    assert [(one.a, one.b) for one in found] == [("a", "b")]
    assert (found[0].difference, found[0].moves) == pytest.approx((0.03, 0.06))
    assert close_pairs(right, Estimate(0.01, 0.0, 0.02, 100)) == ()
    assert close_pairs(right, Estimate(None)) == ()
    assert close_pairs({"a": {"1": True}, "b": {"2": True}}, Estimate(0.1)) == ()


def filled(path, again):
    """Write labels into the table as a person would."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["label"] = again.get(row["id"], "")
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)


def test_a_list_labeled_again(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, said)
    path = tmp_path / "list.csv"
    gold_audit(facts.project, controls=38, to=path)
    again = gold | {"i3": "a", "i8": "a"}  # i3 is wrong in gold; so is i8, which nobody suspected
    filled(path, again)
    found = gold_error(facts.project, path)
    assert found.gold == 40
    assert (found.error.value, found.error.low, found.error.high) == (0.05, 0.05, 0.05)
    assert (found.suspicious.value, found.controls.value) == (0.5, 1 / 38)
    assert {(x.item, x.gold, x.adjudicated, x.part) for x in found.changed} == {
        ("i3", "b", "a", "suspicious"),
        ("i8", "c", "a", "controls"),
    }
    assert "5.0% of gold is likely wrong: evaluation sets want more than 98%" in found.notes[0]
    assert json.loads(json.dumps(found.to_dict()))["error"]["n"] == 40
    assert facts.project.gold[3].label == "b"  # gold itself stays as it is


def test_gold_that_cannot_tell_annotators_apart(tmp_path):
    gold, said = of_forty()
    said["n"] = said["n"] | {"i20": "a", "i21": "b"}
    facts = audited(tmp_path, gold, {"m": said["m"], "n": said["n"]})
    path = tmp_path / "list.csv"
    gold_audit(facts.project, controls=36, to=path)
    filled(path, said["m"])
    close = gold_error(facts.project, path).close
    assert [(one.a, one.b, one.n) for one in close] == [("m", "n", 40)]
    assert close[0].moves == pytest.approx(2 * min(2 / 40, 2 / 40))


def test_a_list_labeled_in_part(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, said)
    path = tmp_path / "list.csv"
    blind = gold_audit(facts.project, controls=10, to=path).table
    controls = [row["id"] for row in blind if row["id"] not in ("i3", "i7")]
    filled(path, {item: gold[item] for item in ["i3", *controls]})
    found = gold_error(facts.project, path)
    assert found.error.value == 0.0
    assert "1 suspicious items are not adjudicated yet" in found.notes[0]
    assert "adjudicate more than 10 controls" in found.notes[1]
    filled(path, {"i3": gold["i3"]})
    assert gold_error(facts.project, path).error.why == "none of the controls was adjudicated"
    filled(path, {})
    with pytest.raises(InputError, match="no row has a label; fill the column 'label'"):
        gold_error(facts.project, path)


def test_a_table_of_no_audit(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, said)
    path = tmp_path / "other.csv"
    path.write_text("id,label\ni1,a\n", encoding="utf-8")
    with pytest.raises(InputError, match="of no audit of this project; fill in the table"):
        gold_error(facts.project, path)
    gold_audit(facts.project, controls=0)
    with pytest.raises(InputError, match="of no audit of this project"):
        gold_error(facts.project, path)


def test_the_newest_audit_counts(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, said)
    path = tmp_path / "list.csv"
    gold_audit(facts.project, most=0, controls=40)
    gold_audit(facts.project, controls=38, to=path)
    filled(path, gold)
    assert gold_error(facts.project, path).suspicious.n == 2


def test_rights_are_by_the_task():
    from every_task import task_of

    pairs = [("a", "a"), ("b", "c")]
    assert [task_of("classification").right(*pair) for pair in pairs] == [True, False]
    assert task_of("text").right(["Rex", "dog"], "DOG") is True
    assert task_of("spans").right([], []) is True
