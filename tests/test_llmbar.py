"""LLMBar: the published counts of 260 judges in both orders, and what their raw texts say.

Zeng et al., "Evaluating Large Language Models at Meta-Evaluation Tasks" (ICLR 2024).
"""

import re

import pandas as pd
import pytest

from prelabel.guideline import Guideline
from prelabel.position import position_bias
from prelabel.tasks import InconsistentError, OffListError, Reading, make_task

FORMS = (
    "Output ({})",
    "Output ({}) is better",
    "Output ({}) is better.",
    "Therefore, Output ({}) is better.",
)
"""The verdicts, each a whole sentence, that a recorded text may state."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@pytest.fixture(scope="module")
def task():
    labels = [
        {"name": name, "definition": "d", "aliases": [form.format(sign) for form in FORMS]}
        for name, sign in (("A", "a"), ("B", "b"))
    ]
    return make_task(Guideline.model_validate({"name": "g", "task": "pairwise", "labels": labels}))


@pytest.fixture
def folder(shared_data):
    return shared_data / "llm_vs_human" / "llmbar"


def judgments(folder):
    """Return every verdict in terms of what was shown first (A) and second (B); None if unread."""
    table = pd.read_csv(folder / "judgments.csv.gz", dtype=str, keep_default_na=False)
    items = pd.read_json(folder / "instances.jsonl.gz", lines=True).set_index("id")
    table["subset"] = table["id"].map(items["subset"])
    table["gold"] = table["id"].map(items["label"]).map({1: "A", 2: "B"})
    table["first"] = table["winner_ab"].map({"1": "A", "2": "B", "": None})
    table["second"] = table["winner_ba"].map({"1": "B", "2": "A", "": None})
    return table.astype(object).where(table.notna(), None)


def united(task, first, second):
    """Return the label of both orders, or None where there is none."""
    if first is None or second is None:
        return None
    try:
        return task.unite([Reading(first), Reading(second)]).label
    except InconsistentError:
        return None


def count(cell):
    """Read the two numbers of ``81 / 100 = 81.0%``."""
    hits, rest = cell.split(" / ")
    return int(hits), int(rest.split(" = ")[0])


def test_the_published_counts_of_every_judge(folder, task):
    published = pd.read_csv(folder / "published.csv").set_index(["subset", "model", "strategy"])
    turned = {"A": "B", "B": "A", None: None}
    table = judgments(folder)
    table["label"] = [
        united(task, *pair) for pair in zip(table["first"], table["second"], strict=True)
    ]
    assert len(published) == 260
    for judge, rows in table.groupby(["subset", "model", "strategy"]):
        bias = position_bias(
            pair for pair in zip(rows["first"], rows["second"], strict=True) if None not in pair
        )
        consistent = rows["label"].notna().sum()
        assert bias.n - bias.flips == consistent
        # the source calls two verdicts that it could not read equal
        neither = (rows["first"].isna() & rows["second"].isna()).sum()
        found = {
            "correct_False": (rows["first"] == rows["gold"]).sum(),
            "correct_True": (rows["second"].map(turned) == rows["gold"]).sum(),
            "correct_both": (rows["label"] == rows["gold"]).sum(),
            "equal": consistent + neither,
        }
        row = published.loc[judge]
        assert {name: (int(n), len(rows)) for name, n in found.items()} == {
            name: count(row[name]) for name in found
        }


def test_the_order_decides_more_for_a_weak_judge(folder):
    table = judgments(folder)
    table = table[
        (table["strategy"] == "Vanilla") & table["first"].notna() & table["second"].notna()
    ]
    bias = {
        model: position_bias(zip(rows["first"], rows["second"], strict=True))
        for model, rows in table.groupby("model")
    }
    assert bias["Falcon"].flip_rate.low > bias["GPT-4"].flip_rate.high
    assert bias["Falcon"].prefers_first.value > 0.9
    assert bias["Falcon"].p_value < 1e-9


def stated(task, text):
    """Return the verdict that a text's last or first sentence states; None where it is unclear.

    The sentence must be one of the declared forms as a whole. A text that begins with one verdict
    and ends with the other says nothing.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    found = set()
    for sentence in (SENTENCE_END.split(lines[-1])[-1], SENTENCE_END.split(lines[0])[0]):
        try:
            found.add(task.match(sentence))
        except OffListError:
            continue
    return found.pop() if len(found) == 1 else None


def read_completions(folder, task, strategy):
    """Return text, what it states and what was published, for both orders."""
    texts = pd.read_json(folder / "completions.jsonl.gz", lines=True)
    table = texts.merge(judgments(folder), on=["id", "model", "strategy"])
    table = table[table["strategy"] == strategy]
    orders = [
        table[["model", completion, published]].set_axis(["model", "text", "published"], axis=1)
        for completion, published in (("completion_ab", "first"), ("completion_ba", "second"))
    ]
    found = pd.concat(orders, ignore_index=True)
    found["stated"] = [stated(task, text) for text in found["text"]]
    return found


def test_short_completions_are_all_read(folder, task):
    found = read_completions(folder, task, "Vanilla")
    read = found[found["stated"].notna()]
    assert (len(found), len(read)) == (3924, 3917)
    assert (read["stated"] == read["published"]).all()
    assert found.loc[found["stated"].isna(), "published"].isna().all()


def test_long_completions_are_read_or_left(folder, task):
    found = read_completions(folder, task, "CoT")
    read = found[found["stated"].notna()]
    assert (len(found), len(read)) == (3924, 3602)
    other = read[read["stated"] != read["published"]]
    assert len(other) == 85
    # in all but a few the verdict that was published is not in the text at all
    contrary = [
        f"Output ({'b' if row.stated == 'A' else 'a'}) is better" in row.text
        for row in other.itertuples()
    ]
    assert sum(contrary) == 3
    assert found.loc[found["published"].isna(), "stated"].isna().all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot say.",
        "Output (a) is not better.",
        "It is hard to say that Output (a) is better.",
        "Output (b) would be the case if Output (a)",
        "Output (a) is better.\n\nTherefore, Output (b) is better.",
        "Output (a) and Output (b)",
        "# Output (a) is better",
    ],
)
def test_nothing_is_read_by_part(task, text):
    assert stated(task, text) is None


def test_a_verdict_after_its_reasons(task):
    assert stated(task, "It is short.\n\nTherefore, output (B) is better.\n") == "B"
    assert stated(task, "Output (a) is better. It follows the text.") == "A"
