"""Label matching on the raw answers of 13 LLMs to six questions with lettered options.

Ziems et al., "Can Large Language Models Transform Computational Social Science?" (Computational
Linguistics 2024). The guideline is what each prompt's list of options says: ``A: Fear`` gives the
label ``Fear`` with the aliases ``A`` and ``A: Fear``.
"""

import gzip
import json
import re
from collections import Counter

import pytest

from prelabel.exchange.recorded import read_recorded
from prelabel.guideline import Guideline
from prelabel.tasks import OffListError, make_task

QUESTIONS = ("emotion", "ibc", "raop", "semeval_stance", "tempowic", "wiki_politeness")
OPTION = re.compile(r"^([A-Z]): (.+)$", re.MULTILINE)
GOLD_SPELLINGS = {"Polite": ["1"], "Neutral": ["0"], "Impolite": ["-1"]}

OFF_LIST = {
    ("emotion", "chatgpt"): 213,
    ("emotion", "text-davinci-002"): 71,
    ("ibc", "chatgpt"): 181,
    ("raop", "chatgpt"): 359,
    ("semeval_stance", "chatgpt"): 24,
    ("semeval_stance", "text-davinci-002"): 2,
    ("tempowic", "chatgpt"): 110,
    ("wiki_politeness", "chatgpt"): 9,
}
"""Answers that are no option, by question and model; all others gave options only."""


def items_of(folder, question):
    with gzip.open(folder / f"{question}.items.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def task_of(items, question):
    """Make the task that the prompts' options are the guideline of."""
    prompts = [item["prompt"] for item in items]
    options = OPTION.findall(prompts[0])
    assert all(OPTION.findall(prompt) == options for prompt in prompts)
    labels = []
    for letter, text in options:
        name, _, definition = text.partition(" (")
        aliases = [letter, f"{letter}: {text}"]
        aliases += GOLD_SPELLINGS.get(name, []) if question == "wiki_politeness" else []
        labels.append({"name": name, "definition": definition, "aliases": aliases})
    return make_task(Guideline(name=question, task="classification", labels=labels))


def answers_of(folder, question):
    """Return (item, model, raw answer) of every answer."""
    path = folder / f"{question}.answers.csv.gz"
    if question != "emotion":
        return [(r.item_id, r.annotator, r.value) for r in read_recorded(path, item="idx")]
    # one model's answers end in a lone carriage return that is not quoted
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        header, *rows = (line.rstrip("\n").split(",") for line in file)
    return [(row[0], m, raw) for row in rows for m, raw in zip(header[1:], row[1:], strict=True)]


def outcome(task, raw):
    try:
        return task.match(raw)
    except OffListError:
        return None


@pytest.fixture(params=QUESTIONS)
def recorded(request, shared_data):
    folder = shared_data / "llm_vs_human" / "css"
    items = items_of(folder, request.param)
    task = task_of(items, request.param)
    return request.param, task, items, answers_of(folder, request.param)


def test_every_gold_cell_is_a_label_of_its_question(recorded):
    question, task, items, _ = recorded
    gold = Counter(task.match(str(item["gold"])) for item in items)
    assert set(gold) == set(task.labels)
    assert len(set(gold.values())) == 1  # the source has as many items of each label
    assert question != "emotion" or task.match("A") == "Fear"
    assert question != "wiki_politeness" or task.match("-1") == "Impolite"


def test_outcomes_add_up_and_are_known(recorded):
    question, task, items, answers = recorded
    models = Counter(model for _, model, _ in answers)
    assert len(models) == (13 if question in ("emotion", "wiki_politeness") else 12)
    assert set(models.values()) == {len(items)}
    off = Counter(model for _, model, raw in answers if outcome(task, raw) is None)
    assert off == {model: n for (asked, model), n in OFF_LIST.items() if asked == question}


def test_only_whole_spellings_are_labels(recorded):
    _, task, _, answers = recorded
    spellings = {
        spelling.casefold(): label.name
        for label in task.guideline.labels
        for spelling in (label.name, *label.aliases)
    }
    for raw in {raw for _, _, raw in answers}:
        assert outcome(task, raw) == spellings.get(raw.strip().casefold())


def test_an_answer_that_merely_contains_a_label_is_none(recorded):
    _, task, _, answers = recorded
    for raw in {raw for _, _, raw in answers}:
        label = outcome(task, raw)
        if label is None:
            continue
        for written in (
            f"&&&&&&&&&&&&{raw}",
            f"{raw}{raw}",
            f"{raw}.",
            f"I say {label}",
            f"({raw})",
        ):
            assert outcome(task, written) is None, written


def test_the_sources_own_mark_is_off_the_list_unless_it_is_taken_off_before(recorded):
    question, task, _, answers = recorded
    marked = [(model, raw) for _, model, raw in answers if raw.startswith("&")]
    assert len(marked) == sum(n for (asked, _), n in OFF_LIST.items() if asked == question)
    assert all(outcome(task, raw) is None for _, raw in marked)
    still = Counter(m for m, raw in marked if outcome(task, raw.lstrip("&")) is None)
    # behind the mark these 71 go on after the option: "E: LoveFFFFFF", "A:FDEBC"
    assert still == ({"text-davinci-002": 71} if question == "emotion" else {})


@pytest.mark.parametrize(
    ("question", "item", "model", "raw", "label"),
    [  # read by eye in the files
        ("emotion", "0", "chatgpt", "D", "Sadness"),
        ("emotion", "0", "flan-t5-small", "B", "Anger"),
        ("emotion", "495", "chatgpt", "&&&&&&&&&&&&C", None),
        ("emotion", "495", "text-davinci-002", "&&&&&&E: LoveFFFFFF", None),
        ("emotion", "497", "roberta", "F\r", "Surprise"),
        ("ibc", "1", "flan-t5-large", "C", "Neutral"),
        ("raop", "0", "chatgpt", "&&&&&&&&&&&&F", None),
        ("raop", "0", "text-babbage-001", "D", "Impact"),
        ("semeval_stance", "0", "text-curie-001", "C", "None"),
        ("tempowic", "1", "chatgpt", "&&&&&&&&&&&&B", None),
        ("tempowic", "0", "chatgpt", "B", "Different"),
        ("wiki_politeness", "0", "text-davinci-002", "B", "Neutral"),
    ],
)
def test_answers_checked_by_hand(shared_data, question, item, model, raw, label):
    folder = shared_data / "llm_vs_human" / "css"
    task = task_of(items_of(folder, question), question)
    found = {(i, m): answer for i, m, answer in answers_of(folder, question)}
    assert found[item, model] == raw
    assert outcome(task, raw) == label
