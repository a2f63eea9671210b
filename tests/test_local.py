"""The embedded model: label distributions by hand with a fake model, then with the real one."""

import json
import math
import os
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.guideline import Guideline
from prelabel.local import (
    Branches,
    Field,
    LocalModel,
    LocalModelError,
    closed_choices,
    is_text,
    literal,
    spare_threads,
)
from prelabel.tasks import make_task


def task_of(kind, labels, **more):
    names = [{"name": n, "definition": n} for n in labels]
    return make_task(Guideline.model_validate({"name": "g", "task": kind, "labels": names} | more))


def schema_of(task, rationale=False):
    return task.response_model(rationale=rationale).model_json_schema()


def format_of(task, rationale=False):
    schema = {"name": "Answer", "schema": schema_of(task, rationale), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


# Which answers are closed choices


def test_closed_choices():
    task = task_of("classification", ["a", 'say "b"', "é"], abstain="it is empty")
    assert closed_choices(schema_of(task)) == {
        "label": Field(['"a"', '"say \\"b\\""', '"é"', '"abstain"'])
    }
    assert closed_choices(schema_of(task, rationale=True)) is None
    task = task_of("multi-label", ["a", "b"])
    assert closed_choices(schema_of(task)) == {"labels": Field(['"a"', '"b"'], many=True)}
    assert closed_choices(schema_of(task, rationale=True)) is None
    task = task_of("multi-label", ["a"], abstain="it is empty")
    fields = closed_choices(schema_of(task))
    assert list(fields) == ["abstain", "labels"]
    assert fields["abstain"] == Field(["true", "false"], many=False)
    assert fields["labels"] == Field(['"a"'], many=True)
    for schema in (
        {},
        {"type": "object"},
        {"properties": {"x": {"type": "string"}}},
        {"properties": {"x": {"type": "integer"}}},
        {"properties": {"x": {"type": "array"}}},
        {"properties": {"x": {"type": "array", "items": {"type": "string"}}}},
        {"properties": {"x": {"type": "array", "items": {"type": "boolean"}}}},
        {"properties": {"x": {"type": "boolean"}, "y": {"type": "array", "items": {}}}},
        {"properties": {"x": {"type": "number"}}},
        {"properties": {"x": {"type": "array", "items": {"type": "integer", "enum": [1, 10]}}}},
        {"properties": {"x": {"type": ["integer", "null"], "enum": [1, 2, None]}}},
        {"properties": {"x": {"type": "string"}, "y": {"type": "integer", "enum": [1]}}},
    ):
        assert closed_choices(schema) is None


def rating_of(low, high, step="1", **more):
    scale = {"min": str(low), "max": str(high), "step": step}
    return make_task(
        Guideline.model_validate({"name": "g", "task": "rating", "scale": scale} | more)
    )


def test_closed_choices_of_numbers():
    fields = closed_choices(schema_of(rating_of(-1, 2)))
    assert fields == {"rating": Field(["-1", "0", "1", "2"])}
    fields = closed_choices(schema_of(rating_of(0, 1, "0.5")))
    assert fields == {"rating": Field(["0.0", "0.5", "1.0"])}
    fields = closed_choices(schema_of(rating_of(1, 10, abstain="it is empty")))
    assert list(fields) == ["abstain", "rating"]
    assert len(fields["rating"].surfaces) == 10
    assert closed_choices(schema_of(rating_of(1, 2), rationale=True)) is None
    assert closed_choices(schema_of(rating_of(1, 2, "none"))) is None


@pytest.mark.parametrize("kind", ["classification", "multi-label"])
def test_surfaces_are_those_of_the_task(kind):
    names = ["a", 'say "b"', "tab\there", "שלום"]
    task = task_of(kind, names)
    [(key, field)] = closed_choices(schema_of(task)).items()
    assert [json.loads(surface) for surface in field.surfaces] == names
    for name, surface in zip(names, field.surfaces, strict=True):
        answer = task.answer([name] if field.many else name)
        written = f"[{surface}]" if field.many else surface
        assert json.dumps(answer, ensure_ascii=False) == f'{{"{key}": {written}}}'


def test_grammar_literals():
    assert literal('b"') == '"b\\""'
    assert literal("a\\b") == '"a\\\\b"'
    assert literal("é🙂") == '"é🙂"'


def test_parts_of_characters():
    assert is_text("é".encode())
    assert not is_text("é".encode()[:1])
    assert not is_text("é".encode()[1:])


def test_one_core_is_left_to_others():
    assert 1 <= spare_threads() <= max(1, (os.cpu_count() or 1) - 1)


# The sums, with a model whose tokens and probabilities are known


class FakeServer:
    """llama.cpp with a vocabulary of one's own.

    A text's next token has a weight that depends on what is written only through ``weight``. Like
    the real one it reports no distribution where the drawn token ends inside a character.
    """

    def __init__(self, vocabulary, weight=lambda written, token: 1.0):
        self.vocabulary = [t if isinstance(t, bytes) else t.encode() for t in vocabulary]
        self.weight, self.asked = weight, []

    def row(self, token, p, kind="prob"):
        return {
            "id": self.vocabulary.index(token),
            "bytes": list(token),
            kind: p if kind == "prob" else math.log(p),
        }

    def rows(self, written, rests):
        fits = [t for t in self.vocabulary if any(r.startswith(t) for r in rests)]
        weights = {t: self.weight(written, t) for t in fits}
        total = sum(weights.values())
        return {t: w / total for t, w in sorted(weights.items(), key=lambda i: -i[1]) if w}

    def handle_chat_completions(self, body):
        self.asked.append(body)
        prefill = body["messages"][-1]["content"].encode()
        rests = [
            json.loads(x).encode() for x in body["grammar"].removeprefix("root ::= ").split(" | ")
        ]
        content = []
        if not body["post_sampling_probs"]:  # before any grammar
            weights = {t: self.weight(prefill, t) for t in self.vocabulary}
            total = sum(weights.values())
            top = [self.row(t, w / total, "logprob") for t, w in weights.items() if w]
            content = [{"id": 0, "bytes": [120], "top_logprobs": top}]
        else:
            written = b""
            for _ in range(body["max_tokens"]):
                left = [r[len(written) :] for r in rests if r.startswith(written) and r != written]
                rows = self.rows(prefill + written, left)
                drawn = next(iter(rows))
                written += drawn
                if is_text(written):
                    top = [self.row(t, p) for t, p in rows.items()]
                    content = [
                        {
                            "id": self.vocabulary.index(drawn),
                            "bytes": list(written),
                            "top_probs": top,
                        }
                    ]
                    break
        logprobs = {"logprobs": {"content": content}} if content else {}
        return {
            "choices": [{"message": {"role": "assistant", "content": ""}, **logprobs}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 1},
        }


def fake(vocabulary, weight=lambda written, token: 1.0):
    model = object.__new__(LocalModel)
    model.server, model.lock = FakeServer(vocabulary, weight), threading.Lock()
    return model


def shares(vocabulary, rests, weight=lambda written, token: 1.0, prefill='{"label": "'):
    model = fake(vocabulary, weight)
    found = Branches(model, [{"role": "user", "content": "x"}]).shares(prefill, rests)
    return dict(zip(rests, found, strict=True)), model.server.asked


def test_labels_with_different_first_tokens():
    found, asked = shares(["a", "b"], ['a"', 'b"'], lambda _, t: {b"a": 3.0, b"b": 1.0}[t])
    assert found == {'a"': 0.75, 'b"': 0.25}
    assert len(asked) == 1


def test_several_tokens_may_begin_a_label():
    weights = {b"tox": 2.0, b"t": 1.0, b"toxic": 3.0, b"safe": 2.0}
    found, _ = shares(["tox", "t", "toxic", "safe"], ['toxic"', 'safe"'], lambda _, t: weights[t])
    assert found == {'toxic"': 0.75, 'safe"': 0.25}


def test_labels_that_share_their_first_token():
    def weight(written, token):
        after = {b"toxic": 1.0, b"sure": 3.0}
        return (
            after.get(token, 0.0)
            if written.endswith(b"not_")
            else {b"not": 8.0, b"toxic": 2.0}.get(token, 0.0)
        )

    found, asked = shares(["not", "toxic", "sure"], ['toxic"', 'not_toxic"', 'not_sure"'], weight)
    assert found == pytest.approx({'toxic"': 0.2, 'not_toxic"': 0.2, 'not_sure"': 0.6})
    assert [a["messages"][-1]["content"] for a in asked] == ['{"label": "', '{"label": "not_']


def test_one_label_is_the_start_of_another():
    def weight(written, token):
        return (
            {b'"': 1.0, b"_severe": 4.0}.get(token, 0.0)
            if written.endswith(b"toxic")
            else float(token == b"toxic")
        )

    found, _ = shares(["toxic", '"', "_severe"], ['toxic"', 'toxic_severe"'], weight)
    assert found == pytest.approx({'toxic"': 0.2, 'toxic_severe"': 0.8})


def test_what_was_asked_is_not_asked_again():
    _, asked = shares(["n", "no", "not", "yes", "a", "b"], ['not_a"', 'not_b"', 'yes"'])
    contents = [a["messages"][-1]["content"] for a in asked]
    assert len(contents) == len(set(contents)) == 2


def test_truth_values_keep_their_leading_space():
    found, asked = shares(
        [" true", " false", " ", "true", "false"],
        [" true", " false"],
        lambda _, t: {b" true": 2.0}.get(t, 1.0),
    )
    assert asked[0]["messages"][-1]["content"] == '{"label": "'
    assert sum(found.values()) == pytest.approx(1)


def test_labels_that_share_part_of_a_character():
    """As Cyrillic letters do: the first token is half of a letter, the second the other half."""
    vocabulary = [b"\xd0", b"\xbf", b"\xbd", "р", "е", "x"]  # п is D0 BF, н is D0 BD
    found, _ = shares(vocabulary, ['пр"', 'не"'], lambda _, t: 3.0 if t == b"\xbf" else 1.0)
    assert found == pytest.approx({'пр"': 0.75, 'не"': 0.25})


def test_a_first_token_inside_a_character_is_weighed_against_others():
    vocabulary = [b"\xc3", b"\xa9", "a", "x"]
    found, asked = shares(vocabulary, ['a"', 'é"'], lambda _, t: 3.0 if t == b"\xc3" else 1.0)
    assert found == pytest.approx({'a"': 0.25, 'é"': 0.75})
    assert [a["post_sampling_probs"] for a in asked] == [True, False]


def test_emoji_that_differ_in_their_last_byte():
    vocabulary = [b"\xf0\x9f", b"\x98", b"\x80", b"\x90", b"\xa1", "x"]
    found, _ = shares(vocabulary, ['😀"', '😐"', '😡"'], lambda _, t: 2.0 if t == b"\x80" else 1.0)
    assert found == pytest.approx({'😀"': 0.5, '😐"': 0.25, '😡"': 0.25})


def test_no_likely_token_is_an_error_and_not_a_guess():
    with pytest.raises(LocalModelError, match=r"finds none of the labels likely") as caught:
        shares([b"\xc3", b"\xd0", "x"], ['é"', 'п"'], lambda _, t: 1.0 if t == b"x" else 1e-9)
    assert caught.value.code == 400


LETTERS = "ab_éп😀"
some_labels = st.lists(
    st.text(LETTERS, min_size=1, max_size=4), min_size=2, max_size=5, unique=True
)


@settings(deadline=None)
@given(labels=some_labels, seed=st.integers(0, 9))
def test_the_shares_always_sum_to_one(labels, seed):
    pieces = {bytes([b]) for label in labels for b in label.encode()} | {b'"'}
    pieces |= {c.encode() for label in labels for c in label}
    pieces |= {label[:2].encode() for label in labels}
    vocabulary = [b"x", *sorted(pieces)]

    def weight(written, token):
        return 1.0 + zlib.crc32(bytes([seed]) + written + token) % 7

    found, asked = shares(vocabulary, [label + '"' for label in labels], weight)
    assert sum(found.values()) == pytest.approx(1)
    assert all(0 <= p <= 1 for p in found.values())
    again, _ = shares(vocabulary, [label + '"' for label in reversed(labels)], weight)
    if all(is_text(p) for p in pieces):
        assert again == pytest.approx(found)
    assert len(asked) < 100


# An answer in the shape of a chat completion


def asked_of(model, task, text="x", **body):
    messages = [{"role": "user", "content": text}]
    return model.chat(
        {"messages": messages, "response_format": format_of(task), "temperature": 0.0} | body
    )


def distribution(reply, task):
    tokens = reply["choices"][0]["logprobs"]["content"]
    text = b"".join(bytes(token["bytes"]) for token in tokens).decode()
    assert text.strip() == reply["choices"][0]["message"]["content"].strip()
    return task.distribution(tokens)


def test_an_answer_and_its_distribution_agree():
    task = task_of("classification", ["a", "b"])
    reply = asked_of(fake(["a", "b"], lambda _, t: {b"a": 1.0, b"b": 3.0}[t]), task)
    [choice] = reply["choices"]
    assert choice["message"]["content"] == '{"label": "b"}'
    assert choice["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    assert distribution(reply, task) == {"": pytest.approx({"a": 0.25, "b": 0.75})}


def test_equal_shares_go_to_the_first_label():
    task = task_of("classification", ["b", "a"])
    assert asked_of(fake(["a", "b"]), task)["choices"][0]["message"]["content"] == '{"label": "b"}'
