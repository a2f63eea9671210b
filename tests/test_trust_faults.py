"""What can go wrong with gold, rules and promises, by the command line: a clear line, or a limit."""

import contextlib
import io
import json
import random
import sys

import pytest
from camp import camp

from prelabel import api
from prelabel.__main__ import main
from prelabel.project import load_project

SELECTIVE = ("--promise", "selective", "--target", "0.1")
DATASET = ("--promise", "dataset", "--target", "0.2")


def run(folder, command, *options):
    """Run a command as the shell does; return its exit code and what it printed, in one line."""
    told, argv = io.StringIO(), sys.argv
    sys.argv = ["prelabel", command, "--project", str(folder), *map(str, options)]
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            main()
        code = 0
    except SystemExit as left:
        code = left.code or 0
    finally:
        sys.argv = argv
    return code, " ".join(told.getvalue().split())


def fitted(folder, *options):
    """Fit, and return the one promise and its notes."""
    code, told = run(folder, "fit", *options, "--json")
    assert code == 0
    found = json.loads(told)
    [promise] = found["promises"].values()
    return promise, " ".join([*promise["notes"], *found["notes"]])


def gold_of(folder, rows):
    text = "\n".join(json.dumps({"key": item, "label": label}) for item, label in rows)
    (folder / "gold.jsonl").write_text(text, encoding="utf-8")


def say(folder, label_of):
    """Let annotators x, y and z say of each item what ``label_of`` returns, one label each."""
    project = load_project(folder)
    rows = [
        json.dumps({"id": item.id} | dict(zip("xyz", label_of(item.id), strict=True)))
        for item in project.items()
    ]
    (folder / "said.jsonl").write_text("\n".join(rows), encoding="utf-8")
    api.import_annotations(project, folder / "said.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        ('"target": 0.2', '"target": 0.1'),
        ('"delta": 0.1', '"delta": 0.01'),
        ('"threshold": 0', '"threshold": 1'),
        ('"min_votes": 2', '"min_votes": 1'),
    ],
)
def test_a_rule_edited_by_hand_routes_nothing(tmp_path, change):
    camp(tmp_path, items=120, gold=90)
    path = tmp_path / "r.json"
    assert run(tmp_path, "fit", *DATASET, "--to", path)[0] == 0
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    code, told = run(tmp_path, "route", "--rule", path)
    assert code == 2
    assert told == f"error: {path}: changed after it was fitted; fit it again with `prelabel fit`"


def test_a_gold_label_that_the_guideline_lacks_is_named_with_its_line(tmp_path):
    camp(tmp_path, items=20, gold=10)
    gold_of(tmp_path, [("i0", "a"), ("i1", "zebra")])
    code, told = run(tmp_path, "fit", *SELECTIVE)
    assert code == 2
    assert told.startswith(f"error: {tmp_path / 'gold.jsonl'}:2: ")
    assert "zebra" in told


@pytest.mark.parametrize("kind", ["selective", "dataset", "expected"])
@pytest.mark.parametrize("gold", [1, 3])
def test_so_little_gold_accepts_nothing_and_says_how_much_would_do(tmp_path, kind, gold):
    camp(tmp_path, items=60, gold=gold)
    promise, _ = fitted(tmp_path, "--promise", kind, "--target", "0.1")
    assert promise["threshold"] is None
    assert f"{gold} gold items are too few" in promise["why"]
    assert promise["needed"] > gold
    code, told = run(tmp_path, "fit", "--promise", kind, "--target", "0.1")
    assert (code, "Nothing is accepted" in told, "would do" in told) == (0, True, True)


def test_no_gold(tmp_path):
    camp(tmp_path, items=20, gold=0)
    code, told = run(tmp_path, "fit", *SELECTIVE)
    assert (code, told.count("gold.jsonl: is empty")) == (2, 1)
    (tmp_path / "prelabel.yaml").write_text("items: {path: items.jsonl}\n", encoding="utf-8")
    code, told = run(tmp_path, "fit", *SELECTIVE)
    assert code == 2
    assert told.startswith("error: promise: no gold item has votes; label the gold items first")


def test_gold_of_one_label_is_no_random_draw(tmp_path):
    _, truth = camp(tmp_path, items=240, gold=10)
    gold_of(tmp_path, [(item, label) for item, label in truth.items() if label == "a"])
    promise, notes = fitted(tmp_path, *DATASET)
    n = list(truth.values()).count("a")
    assert promise["gold"] == n
    assert f"all {n} gold items have the label a: nothing is known of other labels" in notes
    assert "more 'a' than the other items, by votes" in notes


def test_annotators_that_all_say_the_same(tmp_path):
    """They are as one: their agreement says nothing, and gold says how often they are right."""
    _, truth = camp(tmp_path, items=200, gold=150)
    random_ = random.Random(4)
    say(
        tmp_path,
        lambda item: [truth[item] if random_.random() < 0.7 else random_.choice("abc")] * 3,
    )
    strict, _ = fitted(tmp_path, *SELECTIVE)
    assert strict["threshold"] is None
    assert "gold items in the" in strict["why"]
    assert "wrong" in strict["why"]
    loose, _ = fitted(tmp_path, "--promise", "selective", "--target", "0.4")
    assert loose["threshold"] is not None
    assert loose["coverage"]["value"] > 0.9


def test_annotators_that_say_one_label_of_everything_are_no_better_than_chance(tmp_path):
    camp(tmp_path, items=120, gold=90)
    say(tmp_path, lambda _: "aaa")
    promise, _ = fitted(tmp_path, *SELECTIVE)
    assert promise["threshold"] is None
    code, told = run(tmp_path, "route", "--json")
    assert code == 0
    assert {one["label"] for one in json.loads(told)["items"].values()} <= set("abc")


@pytest.mark.parametrize("kind", ["selective", "dataset", "expected"])
def test_where_no_annotator_is_right_nothing_is_accepted(tmp_path, kind):
    _, truth = camp(tmp_path, items=150, gold=120, decide="aggregate: majority")
    random_ = random.Random(5)
    say(tmp_path, lambda item: [random_.choice(sorted({*"abc"} - {truth[item]}))] * 3)
    promise, _ = fitted(tmp_path, "--promise", kind, "--target", "0.1")
    assert promise["threshold"] is None
    assert promise["needed"] is None
    told = run(tmp_path, "fit", "--promise", kind, "--target", "0.1")[1]
    assert "More gold alone would not do" in told


def test_two_guidelines_never_meet_in_one_rule(tmp_path):
    camp(tmp_path, items=100, gold=60)
    path = tmp_path / "r.json"
    assert run(tmp_path, "fit", *DATASET, "--to", path)[0] == 0
    guideline = json.loads((tmp_path / "guideline.yaml").read_text(encoding="utf-8"))
    text = json.dumps(guideline | {"question": "Which one, now?"})
    (tmp_path / "guideline.yaml").write_text(text, encoding="utf-8")
    code, told = run(tmp_path, "route", "--rule", path)
    assert code == 2
    assert "300 annotations left out: made under another guideline" in told
    api.import_annotations(load_project(tmp_path), tmp_path / "said.jsonl")
    code, told = run(tmp_path, "route", "--rule", path)
    assert code == 2
    assert told.startswith("error: the rule was fitted under guideline ")
    assert told.endswith("fit it again with `prelabel fit`")
    assert run(tmp_path, "fit", *DATASET)[0] == 0


def test_gold_with_other_labels_than_the_pool_is_said_and_a_random_draw_is_not(tmp_path):
    _, truth = camp(tmp_path, items=400, gold=100)
    assert "other items" not in fitted(tmp_path, *DATASET)[1]
    most = [row for row in truth.items() if row[1] == "a"][:80]
    rest = [row for row in truth.items() if row[1] != "a"][:20]
    gold_of(tmp_path, [*most, *rest])
    promise, notes = fitted(tmp_path, *DATASET)
    assert promise["gold"] == 100
    assert "more 'a' than the other items, by votes; of 100 random draws of gold 0.05" in notes
    assert "draw gold at random from all items to route" in notes
    shown = run(tmp_path, "fit", *DATASET)[1]
    assert "note gold has" in shown


def test_actively_chosen_gold_is_no_random_draw(tmp_path):
    camp(tmp_path, items=80, gold=60, drawn=lambda _: "active")
    code, told = run(tmp_path, "fit", *SELECTIVE)
    assert code == 2
    assert told == (
        "error: decide: promise: all gold was drawn by active; a promise needs items drawn at "
        "random"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "0"), "decide: target: must be greater than 0, got 0.0"),
        (("--target", "1"), "decide: target: must be less than 1, got 1.0"),
        (("--delta", "0"), "decide: delta: must be greater than 0, got 0.0"),
        (("--delta", "1"), "decide: delta: must be less than 1, got 1.0"),
        (("--target", "nan"), "decide: target: must be a finite number, got nan"),
        (("--each", "outlet"), "decide: each: no metadata column 'outlet'; there are: none"),
    ],
)
def test_settings_that_promise_all_or_nothing(tmp_path, options, said):
    camp(tmp_path, items=30, gold=20)
    assert run(tmp_path, "fit", *SELECTIVE, *options) == (2, f"error: {said}")


def test_rare_parts_are_refused_one_by_one(tmp_path):
    camp(tmp_path, items=300, gold=200)
    lines = (tmp_path / "items.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [
        json.dumps(json.loads(line) | {"place": "rare" if n < 3 else "common", "n": n})
        for n, line in enumerate(lines)
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(rows), encoding="utf-8")
    code, told = run(tmp_path, "fit", *DATASET, "--each", "place", "--json")
    promises = json.loads(told)["promises"]
    assert code == 0
    assert promises["common"]["threshold"] is not None
    assert promises["rare"]["threshold"] is None
    assert "too few" in promises["rare"]["why"]
    assert "one of 2 groups, each tested at 5%" in " ".join(promises["rare"]["notes"])
    code, told = run(tmp_path, "fit", *DATASET, "--each", "n")
    assert (code, told) == (
        2,
        "error: decide: each: n has 300 values; a promise for each wants 50 at most",
    )


def test_why_no_item_may_be_accepted_is_said(tmp_path):
    camp(tmp_path, items=120, gold=90, decide="min_votes: 4")
    promise, notes = fitted(tmp_path, *DATASET)
    assert promise["threshold"] is None
    assert "no item may be accepted: too few votes: 3 of 4 needed (120 of 120 items)" in notes
