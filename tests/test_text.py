"""Free text: which answers are labels, which are equal, and what is measured of them."""

import json
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.guideline import Guideline, load_guideline
from prelabel.guideline_check import check
from prelabel.prompts import make_compiler
from prelabel.records import Item
from prelabel.resources import data_folder
from prelabel.settings import AnnotatorConfig
from prelabel.tasks import AbstainedError, Measured, OffListError, make_task
from prelabel.tasks.text import accepted

ITEM = Item("i", {"passage": "x", "question": "y"})
SQUAD = ["case", "punctuation", "articles", "space"]


def text_task(*normalize, **more):
    document = {"name": "g", "task": "text", "normalize": normalize} | more
    return make_task(Guideline.model_validate(document))


def parsed(task, answer, rationale=False):
    return task.response_model(rationale=rationale).model_validate_json(json.dumps(answer))


def read(task, answer):
    return task.read(parsed(task, answer), ITEM).label


answers = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
answers = answers.filter(lambda text: unicodedata.normalize("NFC", text).strip())


# Labels


@settings(deadline=None)
@given(answers)
def test_votes_and_answers_come_back(raw):
    task = text_task()
    label = task.match(raw)
    assert label == unicodedata.normalize("NFC", raw).strip()
    assert task.match(label) == label
    assert task.votes(label) == {"": label}
    assert task.from_votes(task.votes(label)) == label
    assert read(task, task.answer(label)) == label
    assert task.from_votes({}) is None
    assert task.values() is None


def test_an_answer_is_kept_as_it_was_written():
    task = text_task(*SQUAD)
    assert task.match("  The Red Barn! \n") == "The Red Barn!"
    assert task.match(unicodedata.normalize("NFD", "Café")) == "Café"
    assert task.match("two\r\nlines") == "two\r\nlines"
    assert task.match(12) == "12"
    assert task.match(1.5) == "1.5"
    assert task.match('["a"]') == '["a"]'  # a text, whatever it looks like
    assert task.match("null") == "null"


@pytest.mark.parametrize("raw", ["", "  ", "\n", "\u00a0", [""], ["a", " "]])
def test_an_empty_answer_is_off_the_list(raw):
    with pytest.raises(OffListError, match=r"the answer is empty; write one"):
        text_task().match(raw)


@pytest.mark.parametrize("wire", [r'"\ud800abc"', r'"abc\udfff"', r'"a\u0000b"'])
def test_a_text_that_no_file_can_hold_is_off_the_list(wire):
    task = text_task()
    answer = task.response_model(rationale=False).model_validate({"answer": json.loads(wire)})
    with pytest.raises(OffListError, match=r"has NUL or half a surrogate pair in it") as error:
        task.read(answer, ITEM)
    assert str(error.value).isprintable()  # it is shown to the model
    with pytest.raises(OffListError, match="surrogate"):
        task.match(["a", json.loads(wire)])
    assert task.match(json.loads(r'"\ud83d\ude00"')) == "\U0001f600"  # a whole pair


@pytest.mark.parametrize("raw", [None, True, {}, {"answer": "a"}, ["a", None], [["a"]], [True]])
def test_what_is_no_text_is_off_the_list(raw):
    with pytest.raises(OffListError, match=r"is not a text"):
        text_task().match(raw)


def test_gold_may_accept_several_answers():
    task = text_task()
    assert task.match(["two", "2", "two "]) == ["two", "2"]
    assert task.match(["two"]) == task.match(("two", "two")) == "two"
    assert task.match(task.match(["two", "2"])) == ["two", "2"]
    assert task.votes(["two", "2"]) == {"": "two"}
    assert task.answer(["two", "2"]) == {"answer": "two"}
    with pytest.raises(OffListError, match=r"an empty list of answers"):
        task.match([])


# Answers of an annotator


@pytest.mark.parametrize("abstain", [None, "it is empty"])
@pytest.mark.parametrize("rationale", [False, True])
def test_the_schema_is_strict(rationale, abstain):
    schema = text_task(abstain=abstain).response_model(rationale=rationale).model_json_schema()
    assert schema["additionalProperties"] is False
    keys = ["rationale"] * rationale + ["abstain"] * bool(abstain) + ["answer"]
    assert list(schema["properties"]) == schema["required"] == keys
    assert schema["properties"]["answer"] == {"title": "Answer", "type": "string"}
    assert not any(word in json.dumps(schema) for word in ("$ref", "default", "anyOf"))


@pytest.mark.parametrize("answer", [{}, {"answer": None}, {"answer": 3}, {"answer": ["a"]}, "a"])
def test_what_holds_no_answer_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        parsed(text_task(), answer)


def test_the_way_out():
    task = text_task(abstain="no answer in it")
    for text in ("", "unknown"):
        with pytest.raises(AbstainedError):
            read(task, {"abstain": True, "answer": text})
    assert read(task, {"abstain": False, "answer": "abstain"}) == "abstain"
    with pytest.raises(OffListError):
        read(task, {"abstain": False, "answer": ""})
    assert task.answer("a") == {"abstain": False, "answer": "a"}


# Comparing answers


def aligned(task, *texts):
    votes = {f"a{at}": {"": text} for at, text in enumerate(texts)}
    return [vote[""] for vote in task.align(votes).values()]


def test_equal_answers_get_one_spelling():
    task = text_task(*SQUAD)
    assert aligned(task, "the Barn", "barn", "Barn.", "barn") == ["barn"] * 4  # the most frequent
    assert aligned(task, "the barn", "barn", "house") == ["barn", "barn", "house"]  # the smallest
    assert aligned(text_task(), "barn", "Barn") == ["barn", "Barn"]
    assert task.align({}) == {}
    assert task.align({"a": {"": "the x"}, "b": {}}) == {"a": {"": "the x"}, "b": {}}


spellings = st.lists(
    st.sampled_from(["a cat", "Cat", "cat", "CAT!", "cats", "the", "a", "?"]), min_size=1
)


@given(spellings, st.randoms(use_true_random=False))
def test_aligning_is_idempotent_and_knows_no_order(texts, shuffle):
    task = text_task(*SQUAD)
    votes = {f"a{at}": {"": text} for at, text in enumerate(texts)}
    once = task.align(votes)
    assert task.align(once) == once
    names = list(votes)
    shuffle.shuffle(names)
    assert task.align({name: votes[name] for name in names}) == once
    for name, vote in votes.items():
        assert task.normal(once[name][""]) == task.normal(vote[""])
    assert len({vote[""] for vote in once.values()}) == len({task.normal(t) for t in texts})


def squad_f1(a, b):
    """The formula as the SQuAD paper gives it, over words already normalised."""
    common = sum((Counter(a) & Counter(b)).values())
    if not a or not b:
        return float(a == b)
    if not common:
        return 0.0
    precision, recall = common / len(b), common / len(a)
    return 2 * precision * recall / (precision + recall)


words = st.lists(st.sampled_from(["red", "barn", "old", "door"]), max_size=5)


@given(words, words)
def test_token_f1_is_squads(a, b):
    task = text_task(*SQUAD)
    expected = squad_f1(a, b)
    assert task.token_f1(" ".join(a), " ".join(b)) == pytest.approx(expected)
    if a and b:
        assert task.overlap("The " + " ".join(a) + "!", " ".join(b)) == (pytest.approx(expected), 1)


def test_token_f1_by_hand():
    task = text_task(*SQUAD)
    assert task.token_f1("the red barn", "Red barn door") == pytest.approx(0.8)
    assert task.token_f1("barn barn", "barn") == pytest.approx(2 / 3)
    assert text_task().token_f1("Barn", "barn") == 0
    assert task.token_f1("谷仓", "谷仓在") == 0  # no blanks: one word


def test_measures():
    task = text_task(*SQUAD)
    gold = ["red barn", ["two", "2"], "noon", "Ann"]
    found = task.measure(gold, ["The red barn.", "2", "at noon", "Ann"])
    assert isinstance(task, Measured)
    assert found.right == [True, True, False, True]
    assert list(found.metrics) == ["normalised", "exact", "token_f1"]
    assert found.metrics["normalised"].value == 0.75
    assert found.metrics["exact"].value == 0.5
    assert found.metrics["token_f1"].value == pytest.approx((1 + 1 + 2 / 3 + 1) / 4)
    assert all(m.n == 4 and m.low < m.value < m.high for m in found.metrics.values())
    assert (found.labels, found.confusion, task.units()) == ((), None, ())


def test_measures_of_nothing():
    found = text_task().measure([], [])
    assert {m.value for m in found.metrics.values()} == {None}
    assert {m.why for m in found.metrics.values()} == {"nothing was labeled"}


# The guideline and the prompt

SOUND = "name: g\npurpose: p\nquestion: q\ntask: text\nnormalize: [case]\nexamples:\n" + "".join(
    f"- {{fields: {{p: {n}, q: why}}, answer: {n}}}\n" for n in "abc"
)


def found_in(tmp_path, document):
    (tmp_path / "g.yaml").write_text(document)
    return [(f.line, f.level, f.message) for f in check(tmp_path / "g.yaml")]


def test_what_is_wrong_with_a_guideline(tmp_path):
    assert found_in(tmp_path, SOUND) == []
    [(line, level, message)] = found_in(tmp_path, SOUND.replace("normalize: [case]\n", ""))
    assert (line, level) == (1, "warning")
    assert message.endswith("declare 'normalize: [case, space, punctuation]'")
    [(line, level, message)] = found_in(tmp_path, SOUND.replace("answer: b", "answer: ''"))
    assert (line, level, message) == (8, "error", "the answer is empty; write one; mend the answer")


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_the_prompt_asks_for_the_answer_alone(tmp_path, prompt):
    task = text_task(abstain="no answer in it", question="What is it?")
    config = AnnotatorConfig(name="a", model="local/x", prompt=prompt)
    compiler = make_compiler(task.guideline, task, config, [], tmp_path)
    [system] = compiler.static
    assert "What is it?" in system["content"]
    assert "only in this case: no answer in it.\n" in system["content"]
    assert system["content"].endswith('like {"abstain": false, "answer": "<text>"}')
    [message] = compiler.compile(ITEM).messages
    shown = "<item-passage>\nx\n</item-passage>\n<item-question>\ny\n</item-question>"
    assert message["content"] == f"<item>\n{shown}\n</item>"


def test_the_evalset_is_whole():
    folder = data_folder("evalsets") / "notice-questions"
    guideline = load_guideline(folder / "guideline.yaml")
    task = make_task(guideline)
    items, gold = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("items.jsonl", "gold.jsonl")
    )
    assert [row["id"] for row in items] == [row["id"] for row in gold]
    assert check(folder / "guideline.yaml") == []
    assert all(task.match(row["label"]) == row["label"] for row in gold)
    for row in gold:
        answers = accepted(row["label"])
        assert len({task.normal(answer) for answer in answers}) == len(answers)
    passages = {row["passage"] for row in items}
    assert len(passages) == len(items)
    assert not passages & {example.fields["passage"] for example in guideline.examples}
    literal = sum(
        accepted(row["label"])[0] in item["passage"] for item, row in zip(items, gold, strict=True)
    )
    assert f"{literal} stand in the passage" in (folder / "README.md").read_text()
