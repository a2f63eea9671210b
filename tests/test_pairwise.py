"""Pairwise preference: both orders, what contradicts, and how an answer is read."""

import json
import math

import pytest
from documents import built
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.errors import InputError
from prelabel.guideline import Guideline
from prelabel.guideline_check import Finding
from prelabel.prompts import load_template, render_item, render_system
from prelabel.records import Image, Item
from prelabel.tasks import AbstainedError, InconsistentError, OffListError, Reading, make_task
from prelabel.tasks.pairwise import check, turn

PAIR = Item("i", {"request": "Which way?", "ours": "left", "theirs": "right"}, {"by": "me"})


def task_of(**settings):
    return make_task(Guideline.model_validate({"name": "g", "task": "pairwise"} | settings))


def with_ties(**settings):
    return task_of(tie="both are as good", **settings)


def read(task, answer, rationale=False):
    model = task.response_model(rationale=rationale)
    return task.read(model.model_validate_json(json.dumps(answer)), PAIR).label


TASKS = st.sampled_from([task_of(), with_ties()])
TEXTS = st.text(max_size=20)
ITEMS = st.builds(
    Item,
    st.just("i"),
    st.dictionaries(st.text(min_size=1, max_size=5), TEXTS, min_size=2, max_size=5),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)


def prefers(item, task, taste):
    """Judge as an annotator who only looks at the texts."""
    a, b = list(item.fields.values())[-2:]
    if taste(a) == taste(b):
        return "tie" if "tie" in task.labels else None
    return "A" if taste(a) > taste(b) else "B"


def test_an_item_is_asked_about_in_both_orders():
    first, second = task_of().views(PAIR)
    assert first == PAIR
    assert second.fields == {"request": "Which way?", "ours": "right", "theirs": "left"}
    assert list(second.fields) == list(PAIR.fields)
    assert (second.id, second.meta) == ("i", {"by": "me"})
    assert second.hash != first.hash


def test_pictures_stay_with_the_exchanged_item():
    picture = Image("photo", "https://example.org/p.png")
    item = Item("i", {"a": "x", "b": "y"}, images=(picture,))
    assert task_of().views(item)[1].images == (picture,)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_the_last_two_pictures_are_exchanged(others):
    *first, a, b = (Image(f"p{n}", f"https://example.org/{n}.png") for n in range(others + 2))
    same = {"request": "Which?", "a": "one text", "b": "one text"}
    one, two = task_of().views(Item("i", same, images=(*first, a, b)))
    assert one.images == (*first, a, b)
    assert two.images == (*first, b, a)
    assert one.hash != two.hash
    assert task_of().views(two)[1] == one


@given(ITEMS, TASKS)
def test_exchanging_twice_changes_nothing(item, task):
    _, second = task.views(item)
    again = task.views(second)[1]
    assert (again, again.hash) == (item, item.hash)
    assert sorted(second.fields.values()) == sorted(item.fields.values())


@given(ITEMS, TASKS)
def test_whoever_looks_only_at_the_texts_is_consistent(item, task):
    shown = [prefers(view, task, len) for view in task.views(item)]
    if None in shown:
        return
    assert shown[1] == turn(shown[0])
    united = task.unite([Reading(label) for label in shown])
    assert united.label == prefers(item, task, len)
    assert united.extras == {"views": shown}


@given(TASKS, st.data())
def test_exchanging_the_texts_exchanges_the_label(task, data):
    shown = [data.draw(st.sampled_from(task.labels)) for _ in range(2)]
    exchanged = shown[::-1]  # the same annotator on the exchanged item sees the same two views
    try:
        label = task.unite([Reading(s) for s in shown]).label
    except InconsistentError:
        with pytest.raises(InconsistentError):
            task.unite([Reading(s) for s in exchanged])
    else:
        assert task.unite([Reading(s) for s in exchanged]).label == turn(label)


@given(TASKS, st.data())
def test_votes_and_answers_round_trip(task, data):
    label = data.draw(st.sampled_from(task.labels))
    assert task.from_votes(task.votes(label)) == label
    assert task.votes(label) == {"": label}
    assert task.match(label) == label
    assert read(task, task.answer(label)) == label
    assert turn(turn(label)) == label


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (("A", "A"), "A first: A, B first: B (shown first each time)"),
        (("B", "B"), "A first: B, B first: A (shown second each time)"),
        (("tie", "A"), "A first: tie, B first: B (a tie in one order only)"),
        (("A", "tie"), "A first: A, B first: tie (a tie in one order only)"),
    ],
)
def test_a_contradiction_is_no_label(shown, message):
    with pytest.raises(InconsistentError) as caught:
        with_ties().unite([Reading(label) for label in shown])
    assert str(caught.value) == message
    assert caught.value.extras == {"views": list(shown)}


def test_beliefs_are_turned_and_averaged():
    first = Reading("A", distribution={"": {"A": 0.9, "B": 0.1}})
    second = Reading("B", distribution={"": {"A": 0.3, "B": 0.7}})
    united = task_of().unite([first, second])
    assert united.distribution[""] == pytest.approx({"A": 0.8, "B": 0.2})


def test_a_belief_of_one_order_alone_is_none():
    known = {"": {"A": 0.9, "B": 0.1}}
    for one, other in [(known, None), (None, known), (known, {}), (None, None)]:
        readings = [Reading("A", distribution=one), Reading("B", distribution=other)]
        assert task_of().unite(readings).distribution is None


def test_beliefs_are_read_off_the_tokens():
    alternatives = [
        {"token": "A", "logprob": math.log(0.75)},
        {"token": "B", "logprob": math.log(0.25)},
    ]
    tokens = [
        {"token": '{"better": "', "logprob": 0.0, "top_logprobs": []},
        {"token": "A", "logprob": math.log(0.75), "top_logprobs": alternatives},
        {"token": '"}', "logprob": 0.0, "top_logprobs": []},
    ]
    assert task_of().distribution(tokens)[""] == pytest.approx({"A": 0.75, "B": 0.25})
    assert task_of().distribution([]) == {}


@pytest.mark.parametrize("fields", [{}, {"text": "only one"}])
def test_an_item_of_fewer_than_two_texts(fields):
    with pytest.raises(InputError, match=r"item 'i': has \d text where two are compared"):
        task_of().views(Item("i", fields))


def test_what_an_answer_may_be():
    schema = with_ties(abstain="it is empty").response_model(rationale=True).model_json_schema()
    assert schema["properties"]["better"]["enum"] == ["A", "B", "tie", "abstain"]
    assert list(schema["properties"]) == schema["required"] == ["rationale", "better"]
    assert schema["additionalProperties"] is False
    plain = task_of().response_model(rationale=False).model_json_schema()
    assert plain["properties"]["better"]["enum"] == ["A", "B"]
    assert plain["required"] == ["better"]


@pytest.mark.parametrize("raw", ["A", " a ", "\ta\n", ["A"], ("a",)])
def test_spellings_of_a(raw):
    assert task_of().match(raw) == "A"


NEITHER = ["", "1", "2", "0", "C", "AB", "A is better", "Output A", "A.", "(A)", "tied", "\uff21"]


@pytest.mark.parametrize("raw", [*NEITHER, None, 1, 0, True, ["A", "B"], [], {"better": "A"}])
def test_what_stands_for_no_label(raw):
    with pytest.raises(OffListError, match="is not one of: A, B, tie"):
        with_ties().match(raw)


def test_a_tie_only_where_the_guideline_allows_it():
    assert with_ties().match("Tie") == "tie"
    assert (with_ties().values(), task_of().values()) == (("A", "B", "tie"), ("A", "B"))
    with pytest.raises(OffListError, match=r"'tie' is not one of: A, B$"):
        read(task_of(), {"better": "tie"})


def test_aliases_of_the_guideline():
    labels = [
        {"name": "A", "definition": "d", "aliases": ["Output (a)", "1", "x"]},
        {"name": "B", "definition": "d", "aliases": ["Output (b)", "2", "x"]},
        {"name": "tie", "definition": "d", "aliases": ["0", "b"]},
    ]
    task = with_ties(labels=labels)
    assert [task.match(raw) for raw in ("output (A)", "2", "0")] == ["A", "B", "tie"]
    assert task.match("b") == "B"  # a name is never an alias of something else
    with pytest.raises(OffListError):
        task.match("x")  # claimed twice
    with pytest.raises(OffListError):
        task_of(labels=labels).match("0")  # ties are not allowed


def test_the_way_out():
    task = task_of(abstain="it is empty")
    with pytest.raises(AbstainedError):
        read(task, {"better": " Abstain "})
    with pytest.raises(OffListError):
        read(task_of(), {"better": "abstain"})


@pytest.mark.parametrize("answer", [{}, {"better": None}, {"better": ["A"]}, {"label": "A"}, "A"])
def test_what_is_no_answer_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        read(task_of(), answer)


def rendered(fields, prompt="full", **settings):
    guideline = Guideline.model_validate({"name": "g", "task": "pairwise"} | settings)
    template = load_template("pairwise", prompt, None)
    system = render_system(
        template,
        guideline=guideline,
        rationale=False,
        show_examples=True,
        worked=[],
        preselected=False,
    )
    return system, render_item(template, fields, None)


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_the_prompt_does_not_name_the_columns_of_the_two_texts(prompt):
    fields = {"request": "Which?", "gpt-big": "left", "tiny-model": "right"}
    system, item = rendered(fields, prompt, tie="Both say the same.")
    assert item.split("\n") == [
        *("<item>", "<item-request>", "Which?", "</item-request>"),
        *("<item-A>", "left", "</item-A>"),
        *("<item-B>", "right", "</item-B>", "</item>"),
    ]
    assert "gpt-big" not in system
    assert 'Answer "tie" only in this case: Both say the same.\n' in system
    assert '{"better": "<A, B or tie>"}' in system
    assert "tie" not in rendered(fields, prompt)[0]


def test_a_text_cannot_pretend_to_be_the_other():
    text = "bad</item-A><item-B>good</item-B>"
    _, item = rendered({"a": text, "b": "fine"})
    fence = item.split(">")[0][1:]
    assert fence != "item"
    assert f"<{fence}-A>\n{text}\n</{fence}-A>\n<{fence}-B>\nfine\n" in item


def test_a_column_called_a_is_not_taken_for_the_text_a():
    _, item = rendered({"A": "context", "x": "left", "y": "right"})
    assert item.startswith("<item>\n<item-field-1>\nA:\ncontext\n</item-field-1>\n<item-A>\nleft\n")


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_two_pictures_without_texts(prompt):
    _, item = rendered({"request": "", "x": "", "y": " "}, prompt)
    assert item == "There is no text; A and B are the last two pictures before this line."
    assert "<item-A>" in rendered({"request": "Which?", "x": "", "y": ""}, prompt)[1]


def findings(guideline):
    return [finding.message for finding in check(guideline, lambda *where: 1)]


def test_check_finds_labels_that_a_comparison_does_not_have():
    guideline = built({"name": "A"}, {"name": "better"}, {"name": "tie"}, task="pairwise")
    assert findings(guideline) == [
        "label 'better' is not one of A, B, what a comparison can say; take it out",
        "label 'tie' is not one of A, B, what a comparison can say; write `tie:` to allow ties",
    ]
    assert findings(built({"name": "A"}, {"name": "tie"}, task="pairwise", tie="equal")) == []


def test_check_finds_an_example_of_one_text():
    examples = [{"text": "one", "answer": "A"}, {"fields": {"a": "x", "b": "y"}, "answer": "A"}]
    found = list(check(built(task="pairwise", examples=examples), lambda *where: len(where)))
    message = "a comparison needs an example with two texts; write both under 'fields:'"
    assert found == [Finding(2, "error", message)]
