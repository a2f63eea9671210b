"""Tokens with log-probabilities -> a distribution over labels."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.logprobs import label_distribution


def token(text: str | bytes, p: float = 1.0, **others: float) -> dict[str, Any]:
    return row(text, p, dict(others))


def row(text: str | bytes, p: float, others: dict[Any, float]) -> dict[str, Any]:
    def one(raw: str | bytes, q: float) -> dict[str, Any]:
        data = raw.encode() if isinstance(raw, str) else raw
        logprob = math.log(q) if q else -9999.0
        return {"token": data.decode(errors="replace"), "bytes": list(data), "logprob": logprob}

    return one(text, p) | {"top_logprobs": [one(text, p), *(one(t, q) for t, q in others.items())]}


def choices(*labels: str) -> Any:
    return {"": ("label", {json.dumps(name, ensure_ascii=False): name for name in labels})}


def read(tokens: list[dict[str, Any]], *labels: str) -> dict[Any, float] | None:
    found = label_distribution(tokens, choices(*labels))
    return found.get("")


def test_labels_that_share_their_first_token() -> None:
    tokens = [
        token('{"label": "'),
        row("tox", 0.7, {"not": 0.3}),
        row("ic", 1.0, {}),
        row('"', 0.6, {"_severe": 0.4}),
        token("}"),
    ]
    found = read(tokens, "toxic", "toxic_severe", "not_toxic")
    assert found == pytest.approx({"toxic": 0.42, "toxic_severe": 0.28, "not_toxic": 0.3})


def test_a_label_inside_another_is_never_taken_for_it() -> None:
    tokens = [token('{"label": "'), row("not", 0.9, {"toxic": 0.1}), token('_toxic"}')]
    assert read(tokens, "toxic", "not_toxic") == pytest.approx({"toxic": 0.1, "not_toxic": 0.9})


def test_a_branch_not_taken_is_divided_equally() -> None:
    tokens = [token('{"label": "'), row("not_toxic", 0.5, {"tox": 0.5}), token('"}')]
    found = read(tokens, "toxic", "toxic_severe", "not_toxic")
    assert found == pytest.approx({"toxic": 0.25, "toxic_severe": 0.25, "not_toxic": 0.5})


@pytest.mark.parametrize(
    "tokens",
    [
        [token('{"label'), token('":'), row(' "a', 0.8, {' "b': 0.2}), token('"}')],
        [token('{"label": '), row('"a', 0.8, {'"b': 0.2}), token('"}')],
        [token('{"label'), row('":"a"', 0.8, {'":"b"': 0.2}), token("}")],
        [token('{"label'), row('": "a"}', 0.8, {'":"b"}': 0.2})],
        [token('{\n  "label"'), token(" : "), token('"'), row("a", 0.8, {"b": 0.2}), token('"\n}')],
        [token('{"label":'), row(" ", 0.5, {"\n": 0.5}), token('"'), row("a", 0.8, {"b": 0.2}), token('"}')],
        [token('{"label":'), row(' "a"', 0.8, {'"b"': 0.2}), token("}")],
        [token('```json\n{"label": "'), row("A", 0.5, {"a": 0.3, "B": 0.1, "b": 0.1}), token('"}')],
    ],
)  # fmt: skip
def test_quotes_spaces_and_case(tokens: list[dict[str, Any]]) -> None:
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.8, "b": 0.2})


def test_labels_split_inside_a_character() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    tokens = [
        token('{"label": "caf'),
        row(first, 0.75, {"e": 0.25}),
        row(second, 0.8, {"è".encode()[1:]: 0.2}),
        token('"}'),
    ]
    found = read(tokens, "café", "cafè", "cafe")
    assert found == pytest.approx({"café": 0.6, "cafè": 0.15, "cafe": 0.25})


def test_the_key_inside_a_rationale_is_not_the_key() -> None:
    rationale = 'it says "label": "b" and \\ too'
    tokens = [
        token('{"rationale": '),
        *(token(part) for part in json.dumps(rationale).split(" ")),
        token(', "label": "'),
        row("a", 0.9, {"b": 0.1}),
        token('"}'),
    ]
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.9, "b": 0.1})


def test_multi_label_has_a_distribution_a_label() -> None:
    units = {name: (name, {"true": True, "false": False}) for name in ("x", 'say "y"', "z")}
    tokens = [
        token('{"x":'), row(" true", 0.9, {" false": 0.1}),
        token(', "say \\"y\\"": '), row("f", 0.6, {"t": 0.4}), token("alse}"),
    ]  # fmt: skip
    found = label_distribution(tokens, units)
    assert set(found) == {"x", 'say "y"'}
    assert found["x"] == pytest.approx({True: 0.9, False: 0.1})
    assert found['say "y"'] == pytest.approx({True: 0.4, False: 0.6})


def test_nothing_to_read_off() -> None:
    assert read([], "a") is None
    assert read([token('{"other": "a"}')], "a") is None
    bare = [{"token": '{"label": "a"}', "logprob": None, "bytes": None}]
    assert read(bare, "a", "b") is None


def test_an_alias_or_a_spelling_that_is_not_ours_gives_none() -> None:
    alias = [token('{"label": "'), row("shipping", 0.9, {"payment": 0.1}), token('"}')]
    assert read(alias, "delivery", "payment") is None
    other = [token('{"label": "del'), row("ay", 0.9, {"ivery": 0.1}), token('"}')]
    assert read(other, "delivery", "payment") is None


def test_without_alternatives_all_is_on_the_answer() -> None:
    plain = [{"token": t, "logprob": -0.5} for t in ('{"label": "', "a", '"}')]
    assert read(plain, "a", "b") == {"a": 1.0, "b": 0.0}


def tree(remaining: dict[str, bytes], rng: random.Random) -> dict[bytes, Any]:
    """Return a language model over texts: ``{token: (probability, labels, model after it)}``."""
    cut = rng.randint(1, 4)
    groups: dict[bytes, dict[str, bytes]] = {}
    for label, text in remaining.items():
        groups.setdefault(text[:cut], {})[label] = text[cut:]
    weights = [rng.random() + 1e-3 for _ in groups]
    model = {}
    for weight, (piece, group) in zip(weights, groups.items(), strict=True):
        after = {label: text for label, text in group.items() if text}
        model[piece] = (weight / sum(weights), list(group), after and tree(after, rng))
    return model


def sequence(model: Any, label: str) -> float:
    """Return the exact probability of a label."""
    p, _, after = next(branch for branch in model.values() if label in branch[1])
    return p * (
        sequence(after, label) if after and any(label in b[1] for b in after.values()) else 1
    )


LABEL = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.lists(LABEL, min_size=2, max_size=7, unique_by=str.lower), st.integers(0, 2**32))
def test_a_random_language_model_is_read_exactly(labels: list[str], seed: int) -> None:
    rng = random.Random(seed)
    space = rng.choice(["", " "])
    surfaces = {name: f"{space}{json.dumps(name, ensure_ascii=False)}".encode() for name in labels}
    if len({s.lower() for s in surfaces.values()}) < len(labels):
        return
    model = tree(surfaces, rng)
    answered = rng.choice(labels)
    tokens, node, apart = [token('{"label":')], model, []
    while node:
        taken = next(piece for piece, branch in node.items() if answered in branch[1])
        others = {piece: branch[0] for piece, branch in node.items() if piece != taken}
        tokens.append(row(taken, node[taken][0], others))
        apart += [branch[1] for piece, branch in node.items() if piece != taken]
        node = node[taken][2]
        if node and not any(answered in branch[1] for branch in node.values()):
            break
    found = read([*tokens, token("}")], *labels)
    assert found is not None
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    for group in [*apart, [answered]]:  # a group holds one label where the alternatives part them
        true = sum(sequence(model, label) for label in group)
        assert sum(found[label] for label in group) == pytest.approx(true, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=5), st.floats(-30, 5)), max_size=12),
    st.lists(LABEL, min_size=1, max_size=4, unique_by=str.lower),
)
def test_whatever_tokens_come_the_sum_is_one(pieces: list[Any], labels: list[str]) -> None:
    tokens = [token('{"label": "')]
    for raw, logprob in pieces:
        one = {"token": "?", "bytes": list(raw), "logprob": logprob}
        first = {"token": "?", "bytes": list(labels[0].encode()), "logprob": logprob}
        tokens.append(one | {"top_logprobs": [first, one]})
    found = read([*tokens, token(json.dumps(labels[0])[1:])], *labels)
    if found is not None:
        assert sum(found.values()) == pytest.approx(1)
        assert min(found.values()) >= 0
