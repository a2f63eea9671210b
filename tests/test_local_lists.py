"""Lists of labels from the embedded model, with a fake whose tokens and probabilities are known."""

import json
import math
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_local import asked_of, distribution, fake, some_labels, task_of

from prelabel.records import Item

ITEM = Item("i", {"text": "t"})


def listing(*rows):
    """Weigh the tokens of a list by how many entries are written: a row of weights for each.

    Inside an entry, ``end`` and ``more`` have no say.
    """

    def weight(written, token):
        text = written.decode().rpartition('{"labels":')[2]
        begun = text.removesuffix(' ["').removesuffix(', "')
        row = rows[begun.count('"') // 2]
        if begun != text:  # at an entry's first letter
            return row.get(token.decode(), 0.0)
        key = "end" if token in (b" []", b"]") else "more"
        return row[key] if token in (b" []", b"]", b' ["', b', "') else 0.0

    return weight


LISTS = [' ["', " []", ', "', "]", 'a"', 'b"', 'c"']


def content_of(reply):
    return reply["choices"][0]["message"]["content"]


def test_a_list_ends_where_its_end_is_likelier_than_any_label():
    """First a .6, b .2, none .2; then b .36, c .24, end .4."""
    task = task_of("multi-label", ["a", "b", "c"])
    model = fake(
        LISTS,
        listing(
            {"more": 8.0, "end": 2.0, 'a"': 3.0, 'b"': 1.0},
            {"more": 6.0, "end": 4.0, 'b"': 3.0, 'c"': 2.0},
        ),
    )
    reply = asked_of(model, task)
    assert content_of(reply) == '{"labels": ["a"]}'
    tokens = reply["choices"][0]["logprobs"]["content"]
    assert [t["token"] for t in tokens] == ['{"labels":', ' ["a"', "]", "}"]
    first, second = (
        {t["token"]: math.exp(t["logprob"]) for t in token["top_logprobs"]} for token in tokens[1:3]
    )
    assert first == pytest.approx({' ["a"': 0.6, ' ["b"': 0.2, ' ["c"': 0.0, " []": 0.2}, abs=1e-9)
    assert second == pytest.approx({', "b"': 0.36, ', "c"': 0.24, "]": 0.4})
    assert distribution(reply, task) == {
        "a": pytest.approx({True: 0.6, False: 0.4}),
        "b": pytest.approx({True: 1 - 0.8 * 0.64, False: 0.8 * 0.64}),
        "c": pytest.approx({True: 0.24, False: 0.76}),
    }
    contents = [a["messages"][-1]["content"] for a in model.server.asked]
    assert contents == [
        '{"labels":',
        '{"labels": ["',
        '{"labels": ["a"',
        '{"labels": ["a", "',
    ]
    assert reply["usage"]["completion_tokens"] == 4


def test_an_empty_list():
    task = task_of("multi-label", ["a", "b"])
    model = fake(LISTS, listing({"more": 4.0, "end": 6.0, 'a"': 3.0, 'b"': 1.0}))
    reply = asked_of(model, task)
    assert content_of(reply) == '{"labels": []}'
    assert (
        task.read(
            task.response_model(rationale=False).model_validate_json(content_of(reply)), ITEM
        ).label
        == []
    )
    assert distribution(reply, task) == {
        "a": pytest.approx({True: 0.3, False: 0.7}),
        "b": pytest.approx({True: 0.1, False: 0.9}),
    }


def test_all_labels_are_chosen():
    task = task_of("multi-label", ["a", "b", "c"])
    sure = {"more": 9.0, "end": 1.0}
    model = fake(
        LISTS,
        listing(
            sure | {'a"': 0.1, 'b"': 0.1, 'c"': 0.8},
            sure | {'a"': 0.8, 'b"': 0.2, 'c"': 99.0},  # not twice
            sure | {'b"': 1.0, 'c"': 99.0},
        ),
    )
    reply = asked_of(model, task)
    assert content_of(reply) == '{"labels": ["c", "a", "b"]}'
    found = {label: row[True] for label, row in distribution(reply, task).items()}
    assert found == pytest.approx(
        {
            "a": 1 - (1 - 0.09) * (1 - 0.72),
            "b": 1 - (1 - 0.09) * (1 - 0.18) * (1 - 0.9),
            "c": 0.72,
        }
    )
    assert model.server.asked[-1]["messages"][-1]["content"] == '{"labels": ["c", "a"'


def test_a_list_of_the_only_label():
    task = task_of("multi-label", ["a"])
    for end, expected in ((1.0, '["a"]'), (4.0, "[]")):
        reply = asked_of(fake([' ["a"', " []"], lambda _, t: end if t == b" []" else 2.0), task)  # noqa: B023
        assert content_of(reply) == f'{{"labels": {expected}}}'
        assert distribution(reply, task)["a"][True] == pytest.approx(2 / (2 + end))


def test_abstaining_is_decided_before_the_list():
    task = task_of("multi-label", ["a", 'b "c"'], abstain="it is empty")
    vocabulary = [" true", " false", ' ["', " []", ', "', "]", 'a"', 'b \\"c\\""']
    for likely, way_out in ((b" true", "true"), (b" false", "false")):
        likelier = {likely, b' ["', b', "', b'b \\"c\\""'}
        model = fake(vocabulary, lambda _, t: 4.0 if t in likelier else 1.0)  # noqa: B023
        reply = asked_of(model, task)
        assert content_of(reply) == f'{{"abstain": {way_out}, "labels": ["b \\"c\\"", "a"]}}'
        found = distribution(reply, task)
        assert found['b "c"'][True] == pytest.approx(0.8 * 0.8)
        assert found["a"][True] == pytest.approx(1 - (1 - 0.8 * 0.2) * (1 - 0.8))
    answer = task.response_model(rationale=False).model_validate_json(content_of(reply))
    assert task.read(answer, ITEM).label == ["a", 'b "c"']


@settings(deadline=None)
@given(labels=some_labels, seed=st.integers(0, 9))
def test_any_list_is_valid_and_its_distribution_too(labels, seed):
    task = task_of("multi-label", labels)
    pieces = {piece for label in labels for piece in (label, label[:2], *label)}
    vocabulary = [*sorted(pieces), '"', ' ["', " [", " []", ", ", ', "', "]", "x"]

    def weight(written, token):
        return 1.0 + zlib.crc32(bytes([seed]) + written + token) % 7

    reply = asked_of(fake(vocabulary, weight), task)
    listed = json.loads(content_of(reply))["labels"]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(labels)
    assert content_of(reply) == json.dumps({"labels": listed}, ensure_ascii=False)
    found = distribution(reply, task)
    assert list(found) == labels
    assert all(sum(row.values()) == pytest.approx(1) for row in found.values())
    steps = reply["choices"][0]["logprobs"]["content"][1:]
    for label, step in zip(listed, steps, strict=False):
        assert step["token"].endswith(f'"{label}"')
        assert found[label][True] >= math.exp(step["logprob"]) - 1e-9
    again = asked_of(fake(vocabulary, weight), task)
    assert again["choices"] == reply["choices"]
