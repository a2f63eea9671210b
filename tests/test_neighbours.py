"""Similarity to gold texts against a plain second implementation, and what is far from gold."""

import json
import re
from collections import Counter
from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.neighbours import FEW_TEXTS, distances, fit_texts, of_the_nearest, similarities

WORDS = [
    "rain",
    "sun",
    "storm",
    "cloud",
    "wind",
    "goal",
    "match",
    "team",
    "player",
    "league",
    "bank",
    "loan",
    "rate",
    "market",
]


def texts(n, seed=0, words=WORDS):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, size=8)) for _ in range(n)]


def plain_cosines(gold, asked):
    """TF-IDF of words, pairs of words and four letters; nothing is hashed and nothing dropped."""

    def pieces(text):
        words = re.findall(r"\w+", text.casefold())
        whole = " ".join(words)
        found = Counter(("w", word) for word in words)
        found += Counter(("w", f"{a} {b}") for a, b in pairwise(words))
        return found + Counter(("c", whole[at : at + 4]) for at in range(len(whole) - 3))

    seen = Counter(piece for text in gold for piece in set(pieces(text)))

    def weights(text):
        row = {
            piece: (1 + log(n)) * (log((1 + len(gold)) / (1 + max(seen[piece], 1))) + 1)
            for piece, n in pieces(text).items()
        }
        length = sqrt(sum(x * x for x in row.values()))
        return {piece: x / length for piece, x in row.items()}

    rows = [weights(text) for text in gold]
    return np.array(
        [[sum(x * row.get(p, 0) for p, x in weights(t).items()) for row in rows] for t in asked]
    )


def test_cosines_are_those_of_a_plain_implementation():
    gold, asked = texts(30), [*texts(10, seed=1), "something else altogether"]
    found = similarities(fit_texts(gold), asked)
    assert found == pytest.approx(plain_cosines(gold, asked), abs=0.01)  # two pieces may share


def test_a_text_is_nearest_to_itself_in_any_script():
    gold = ["Погода сегодня хорошая", "Матч закончился вничью", "今日はいい天気です", "😀 !!"]
    found = similarities(fit_texts(gold), gold[:3])
    assert np.diag(found) == pytest.approx(1, abs=1e-6)
    assert found[:, 3] == pytest.approx(0)


def test_params_are_json_and_say_the_same_after_it():
    params = fit_texts(texts(25))
    again = json.loads(json.dumps(params))
    asked = texts(5, seed=3)
    assert np.array_equal(similarities(params, asked), similarities(again, asked))
    assert not any(word in json.dumps(params) for word in WORDS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.text(max_size=30))
def test_any_text_has_a_similarity(gold, asked):
    params = fit_texts(gold)
    found = similarities(params, [asked, *gold])
    assert found.shape == (1 + len(gold), len(gold))
    assert np.all((found >= 0) & (found <= 1))
    assert np.array_equal(found[0], similarities(params, [asked])[0])
    far = distances(params, [asked])[0]
    assert np.isnan(far) or far == pytest.approx(1 - found[0].max())


def test_far_is_what_few_gold_items_are_from_the_others():
    gold = texts(200)
    params = fit_texts(gold)
    near = plain_cosines(gold, gold)
    np.fill_diagonal(near, 0)
    assert params["far"] == pytest.approx(np.quantile(1 - near.max(axis=1), 0.99), abs=0.01)
    assert (distances(params, texts(300, seed=7)) > params["far"]).mean() < 0.03
    strangers = texts(
        100, seed=8, words=["sonata", "fugue", "violin", "oboe", "choir", "opera", "tempo"]
    )
    assert (distances(params, strangers) > params["far"]).all()
    assert np.isnan(distances(params, [" … "])).all()
    assert fit_texts(gold[: FEW_TEXTS - 1])["far"] is None


def test_the_nearest_speak_by_their_similarity():
    near = np.array([[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    right = np.array([1.0, 0.0, 0.0])
    found = of_the_nearest(near, right)
    assert found == pytest.approx([(0.5 * 2 / 3 - 0.25 / 3) / (0.75 + 0.5), 0.0])


def test_only_the_nearest_ten_speak():
    near = np.concatenate([np.full(10, 0.5), np.full(90, 0.4)])[None, :]
    right = np.concatenate([np.zeros(10), np.ones(90)])
    assert of_the_nearest(near, right) == pytest.approx([5 * -0.9 / 5.5])
