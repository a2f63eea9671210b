"""The embedded model decides numbers: 1 is the start of 10, and no quote ends it."""

import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_local import asked_of, distribution, fake, rating_of

from prelabel.local import Branches


def test_a_number_that_is_the_start_of_another():
    """1 and 10 begin alike: what comes after the 1 decides."""
    task = rating_of(1, 10)
    weights = {b" ": 1.0, b"1": 6.0, b"7": 2.0, b"}": 1.0, b"0": 3.0}
    model = fake([" ", *"0123456789", "}"], lambda _, t: weights.get(t, 0.0))
    reply = asked_of(model, task)
    [choice] = reply["choices"]
    assert choice["message"]["content"] == '{"rating": 10}'
    [row] = distribution(reply, task).values()
    assert {v: p for v, p in row.items() if p > 1e-9} == pytest.approx(
        {1: 0.75 * 0.25, 10: 0.75 * 0.75, 7: 0.25}
    )
    assert [a["messages"][-1]["content"] for a in model.server.asked] == [
        '{"rating":', '{"rating": ', '{"rating": 1',
    ]  # fmt: skip


def test_a_whole_number_may_be_one_token():
    weights = {b" 1": 1.0, b" 10": 4.0, b" 2": 5.0, b"}": 1.0}
    model = fake([" 1", " 10", " 2", "}", "0"], lambda _, t: weights.get(t, 0.0))
    reply = asked_of(model, rating_of(1, 10))
    assert reply["choices"][0]["message"]["content"] == '{"rating": 2}'
    [row] = distribution(reply, rating_of(1, 10)).values()
    assert {v: p for v, p in row.items() if p > 1e-9} == pytest.approx({1: 0.1, 10: 0.4, 2: 0.5})


def test_a_rating_after_a_way_out_is_closed_by_the_brace():
    task = rating_of(0, 1, "0.5", abstain="it is empty")
    weights = {b" false": 9.0, b" true": 1.0, b"0": 2.0, b"1": 1.0, b"5": 6.0, b".": 1.0}

    def weight(written, token):
        if token == b" ":
            return float(written.endswith(b'"rating":'))
        return weights[token]

    model = fake([" ", *(token.decode() for token in weights)], weight)
    reply = asked_of(model, task)
    assert reply["choices"][0]["message"]["content"] == '{"abstain": false, "rating": 0.5}'
    [row] = distribution(reply, task).values()
    assert row == pytest.approx({0.0: 2 / 3 * 0.25, 0.5: 2 / 3 * 0.75, 1.0: 1 / 3})
    grammar = model.server.asked[0]["grammar"]
    assert grammar == 'root ::= " true," | " false,"'


@settings(deadline=None, max_examples=50)
@given(low=st.integers(-12, 3), steps=st.integers(1, 30), seed=st.integers(0, 9), data=st.data())
def test_the_distribution_of_numbers_is_that_of_the_model(low, steps, seed, data):
    """Whatever tokens the numbers have, each gets the sum over the ways to write it."""
    task = rating_of(low, low + steps)
    longer = data.draw(
        st.lists(st.sampled_from([" 1", " 2", "10", "12", " -1", "0}", "2}"]), unique=True)
    )
    vocabulary = [" ", "-", "}", *"0123456789", *longer]

    def weight(written, token):
        return 1.0 + zlib.crc32(bytes([seed]) + written + token) % 7

    reply = asked_of(fake(vocabulary, weight), task)
    [row] = distribution(reply, task).values()
    assert sum(row.values()) == pytest.approx(1)
    written = json.loads(reply["choices"][0]["message"]["content"])["rating"]
    assert row[written] == pytest.approx(max(row.values()))
    rests = [f" {value}}}" for value in task.values()]
    model = fake(vocabulary, weight)
    found = Branches(model, [{"role": "user", "content": "x"}]).shares('{"rating":', rests)
    assert list(row.values()) == pytest.approx(found)
