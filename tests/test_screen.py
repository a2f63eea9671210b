"""What the command line shows: tables fit the screen or say what they left out; figures have their n."""

import pytest

from prelabel import screen, screen_compare, screen_scores, screen_validation
from prelabel.error_correlation import error_correlation
from prelabel.estimate import Estimate
from prelabel.gold_errors import Close, GoldError
from prelabel.gold_sizes import gold_size


@pytest.fixture
def shown(monkeypatch, capsys):
    """Run what prints on a screen of some width; return the lines."""

    def run(width, show, *args, **more):
        monkeypatch.setattr(screen.out, "_width", width)
        show(*args, **more)
        return capsys.readouterr().out.splitlines()

    return run


ROWS = [("first", 1, "0.812 [0.79, 0.83]", "0.700 [0.65, 0.75]")]
COLUMNS = ["annotator", "n", "accuracy", "macro F1"]


def test_a_table_leaves_out_what_can_be_spared_and_says_so(shown):
    wide = shown(80, screen.table, COLUMNS, ROWS, spare=["macro F1"])
    assert "0.700 [0.65, 0.75]" in wide[1]
    assert not any("no room" in line for line in wide)
    narrow = shown(40, screen.table, COLUMNS, ROWS, spare=["macro F1"])
    assert "0.812 [0.79, 0.83]" in narrow[1]
    assert "0.700" not in "".join(narrow)
    assert "no room for: macro F1 (--json has all)" in narrow


def test_what_cannot_be_spared_stays(shown):
    lines = shown(20, screen.table, COLUMNS, ROWS, spare=["macro F1"])
    text = "".join("".join(lines).split())
    assert "0.812" in text
    assert "macroF1(--jsonhasall)" in text


def test_questions_of_gold_sizes_fit_eighty_columns(shown):
    lines = shown(80, screen_compare.gold_size, gold_size(), json=False)
    assert any(line.split()[-2:] == ["626", "80%"] for line in lines)
    assert "  if just one of two right on 20% of items" in [line.rstrip() for line in lines]


def judged(labels):
    import pandas as pd

    votes = [(f"i{k}", n, "", v) for n, own in labels.items() for k, v in enumerate(own)]
    gold = [(f"i{k}", "", "abc"[k % 3]) for k in range(60)]
    return error_correlation(
        pd.DataFrame(votes, columns=["item", "annotator", "unit", "value"]),
        pd.DataFrame(gold, columns=["item", "unit", "value"]),
    )


def test_errors_have_their_n(shown):
    wrong = {"x": range(20), "y": range(10, 25), "z": range(5, 15)}
    labels = {
        n: ["bca"[k % 3] if k in own else "abc"[k % 3] for k in range(60)]
        for n, own in wrong.items()
    }
    found = judged(labels)
    lines = shown(100, screen_validation.errors, found, json=False)
    (alike,) = [line for line in lines if line.startswith("share of labels that all give alike")]
    (of_these,) = [line for line in lines if line.startswith("of these, wrong")]
    assert alike.split()[-1] == str(found.unanimous.n) == "60"
    assert of_these.split()[-1] == str(found.unanimous_wrong.n)
    assert found.unanimous_wrong.n < 60
    assert not any("same label" in line for line in lines)  # where it is always so
    labels["y"] = ["cab"[k % 3] if k in wrong["y"] else "abc"[k % 3] for k in range(60)]
    lines = shown(100, screen_validation.errors, judged(labels), json=False)
    assert any("same label" in line for line in lines)


def test_pairs_that_gold_cannot_tell_apart_come_nearest_first(shown):
    close = tuple(Close(f"a{k}", "b", 90, 0.05 - k / 1000, 0.06) for k in range(25))
    found = GoldError(
        90, Estimate(0.03, 0.01, 0.06, 40), *[Estimate(0.03, 0.01, 0.06, 20)] * 2, (), close
    )
    lines = shown(100, screen_validation.gold_error, found, json=False)
    rows = [line for line in lines if " - b" in line]
    assert len(rows) == 20
    assert rows[0].split()[:3] == ["a24", "-", "b"]
    assert any("the first 20 of 25" in line for line in lines)


def test_estimates_in_little_room():
    assert screen_scores.short(Estimate(0.5, 0.25, 0.75, 9)) == "0.500 [0.25, 0.75]"
    assert screen_scores.short(Estimate(0.5, n=1, why="one item only")) == "0.500 [none]"
    assert screen_scores.short(Estimate(None, why="no items")) == "n/a"
