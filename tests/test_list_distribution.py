"""Tokens with log-probabilities -> for each label, the probability that it is in the list."""

import json
import math
import random
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.logprobs import list_distribution


def row(text, p=1.0, others=None):
    """Return a token in OpenAI's shape with its alternatives: ``{text or bytes: probability}``."""

    def one(raw, q):
        data = raw.encode() if isinstance(raw, str) else raw
        logprob = math.log(q) if q else -9999.0
        return {"token": data.decode(errors="replace"), "bytes": list(data), "logprob": logprob}

    rows = [one(text, p), *(one(t, q) for t, q in (others or {}).items())]
    return rows[0] | {"top_logprobs": rows}


def read(tokens, *labels):
    """Return the probability of each label; a unit's two must sum to 1."""
    found = list_distribution(tokens, "labels", labels)
    assert list(found) in ([], list(labels))  # of all or of none
    for unit in found.values():
        assert list(unit) == [True, False]
        assert sum(unit.values()) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in unit.values())
    return {label: unit[True] for label, unit in found.items()}


# Worked examples


def test_an_example_by_hand():
    """First entry: room .8, price .1, none .1. Second: price .6, food .1, end .3.

    Then food .05, end .95. So room is 1 - .2, price 1 - .9 * .4, food 1 - 1 * .9 * .95.
    """
    tokens = [
        row('{"labels": ['),
        row('"room"', 0.8, {'"price"': 0.1, "]": 0.1}),
        row(', "price"', 0.6, {', "food"': 0.1, "]": 0.3}),
        row("]", 0.95, {', "food"': 0.05}),
        row("}"),
    ]
    found = read(tokens, "room", "price", "food")
    assert found == pytest.approx({"room": 0.8, "price": 0.64, "food": 0.145})


def test_an_example_by_hand_of_straddling_tokens():
    """One label starts another, tokens hold quotes and brackets, and .1 is not told in one place.

    First entry: room .9 * (.4 + .1), rooms .9 * .4, food .1: in all .91. Second, as the first ended
    there: one more entry .8 (of it food .75, rooms .25), end .2. Third: the end .9, else rooms.
    """
    tokens = [
        row('{"'), row("labels"), row('":["', 0.97, {'":[': 0.03}),
        row("room", 0.9, {"food": 0.1}),
        row('","', 0.4, {'"]}': 0.1, "s": 0.4}),
        row("food", 0.75, {"rooms": 0.25}),
        row('"]}', 0.9, {'","': 0.1}),
    ]  # fmt: skip
    assert read(tokens, "room", "rooms", "food") == pytest.approx(
        {
            "room": 0.45 / 0.91,
            "rooms": 1 - (1 - 0.36 / 0.91) * (1 - 0.8 * 0.25) * 0.9,
            "food": 1 - (1 - 0.1 / 0.91) * (1 - 0.8 * 0.75),
        }
    )


@pytest.mark.parametrize(
    "tokens",
    [
        [row('{"labels":'), row(" []", 0.7, {' ["': 0.3}), row("}")],
        [row('{"labels":'), row("[]}", 0.7, {'["': 0.3})],
        [row('{"labels'), row('":[]', 0.7, {'":["': 0.3}), row("}")],
        [row('{"labels": ['), row("]", 0.7, {'"': 0.3}), row("}")],
        [row('{\n "labels" : ['), row("\n"), row("  ]", 0.7, {'  "': 0.3}), row("\n}")],
    ],
)
def test_an_empty_list(tokens):
    assert read(tokens, "a", "b", "c") == pytest.approx(dict.fromkeys("abc", 0.1))
    assert read(tokens, "a") == pytest.approx({"a": 0.3})


def test_an_empty_list_beside_which_labels_are_told():
    tokens = [row('{"labels": ['), row("]}", 0.6, {'"a"': 0.3, '"b"': 0.1})]
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.3, "b": 0.1})


SPELT = {
    "compact": ("[", ",", "]"),
    "spaced": (" [", ", ", "]"),
    "padded": (" [ ", " , ", " ]"),
    "on lines": (" [\n    ", ",\n    ", "\n  ]\n"),
}
CUTS = {
    "entries": lambda start, comma, end: [
        row('{"labels":' + start), row('"a"', 0.8, {'"b"': 0.2}),
        row(comma + '"b"', 0.6, {end: 0.4}), row(end + "}"),
    ],
    "quotes with brackets and commas": lambda start, comma, end: [
        row('{"labels":'), row(start + '"'), row("a", 0.8, {"b": 0.2}),
        row(f'"{comma}"', 0.6, {'"' + end: 0.4}), row("b"), row('"' + end), row("}"),
    ],
    "quotes alone": lambda start, comma, end: [
        row('{"labels":'), row(start), row('"'), row("a", 0.8, {"b": 0.2}), row('"'),
        row(comma, 0.6, {end: 0.4}), row('"'), row("b"), row('"'), row(end), row("}"),
    ],
    "key and label": lambda start, comma, end: [
        row('{"labels'), row('":' + start + '"a', 0.8, {'":' + start + '"b': 0.2}),
        row('"' + comma + '"b', 0.6, {'"' + end: 0.4}), row('"' + end + "}"),
    ],
    "label and comma": lambda start, comma, end: [
        row('{"labels":' + start), row('"a', 0.8, {'"b': 0.2}),
        row('"' + comma, 0.6, {'"' + end + "}": 0.4}), row('"b"' + end + "}"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("how", CUTS)
def test_separators_and_tokens_that_straddle(spelt, how):
    tokens = CUTS[how](*SPELT[spelt])
    text = "".join(token["token"] for token in tokens)
    assert json.loads(text) == {"labels": ["a", "b"]}
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.8, "b": 1 - 0.8 * 0.4})


def test_one_more_entry_is_one_that_is_not_yet_there():
    tokens = [row('{"labels": ["a'), row('"]}', 0.7, {'", "': 0.3})]
    assert read(tokens, "a", "b") == pytest.approx({"a": 1.0, "b": 0.3})
    assert read(tokens, "a", "b", "c") == pytest.approx({"a": 1.0, "b": 0.15, "c": 0.15})


def test_a_repeated_entry():
    tokens = [
        row('{"labels": ['),
        row('"a"', 0.8, {'"b"': 0.2}),
        row(', "a"', 0.5, {', "b"': 0.25, "]": 0.25}),
        row("]}"),
    ]
    assert read(tokens, "a", "b") == pytest.approx({"a": 1 - 0.2 * 0.5, "b": 1 - 0.8 * 0.75})


def test_case_does_not_matter():
    tokens = [row('{"labels": ['), row('"A"', 0.6, {'"a"': 0.3, '"B"': 0.1}), row("]}")]
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.9, "b": 0.1})


def test_labels_split_inside_a_character():
    first, second = "é".encode()[:1], "é".encode()[1:]
    tokens = [
        row('{"labels": ["caf'),
        row(first, 0.75, {"e": 0.25}),
        row(second, 0.8, {"è".encode()[1:]: 0.2}),
        row('"]}'),
    ]
    found = read(tokens, "café", "cafè", "cafe")
    assert found == pytest.approx({"café": 0.6, "cafè": 0.15, "cafe": 0.25})


def test_quotes_brackets_and_commas_in_labels():
    labels = ('say "hi"', 'say "ho"', "back\\", '", "b', "]", ", ")  # fmt: skip
    tokens = [
        row('{"labels": ["say \\"h'),
        row("i", 0.9, {"o": 0.1}),
        row('\\""'),
        row(', "', 0.5, {"]": 0.5}),
        row("back\\\\", 0.8, {'\\", ': 0.1, "]": 0.05, ', "': 0.05}),
        row('"'),
        row("]}", 0.9, {', "]"': 0.1}),
    ]
    found = read(tokens, *labels)
    expected = (0.9, 0.1, 0.4, 0.05, 1 - (1 - 0.025) * 0.9, 0.025)
    assert found == pytest.approx(dict(zip(labels, expected, strict=True)))


@pytest.mark.parametrize(
    "rationale",
    [
        'it says "labels": ["b"] and more',
        '"labels": [',
        "labels",
        "ends in \\",
        '\\"labels\\": ["b"]',
        '{"labels": []}',
    ],
)
def test_the_key_inside_a_rationale_is_not_the_key(rationale):
    written = json.dumps({"rationale": rationale})[:-1]
    tokens = [
        *(row(c) for c in written),
        row(', "labels": ['),
        row('"a"', 0.9, {'"b"': 0.1}),
        row("]}"),
    ]
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.9, "b": 0.1})


def test_what_comes_before_and_after_does_not_matter():
    tokens = [
        row('```json\n{"abstain": '), row("false", 0.6, {"true": 0.4}), row(', "labels": ['),
        row('"a"', 0.9, {'"b"': 0.1}), row("]"), row(', "labels_2": ["b"]}\n```', 0.5, {"}": 0.5}),
    ]  # fmt: skip
    assert read(tokens, "a", "b") == pytest.approx({"a": 0.9, "b": 0.1})


# Where there is nothing to read


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"label": ["a"]}',
        '{"labels": null}',
        '{"labels": "a"}',
        '{"labels": null, "more": ["a"]}',
        '{"labels": ["a"',
        '{"labels": ["shipping"]}',  # an alias
        '{"labels": ["a", "shipping"]}',
        '{"labels": ["\\u0061"]}',  # an escaped spelling of "a"
        '{"labels": [3]}',
    ],
)
def test_no_list_of_labels(text):
    assert read([row(text)], "a", "b") == {}


def test_an_alias_is_never_a_probability_of_another_label():
    tokens = [row('{"labels": ["'), row("shipping", 0.9, {"payment": 0.1}), row('"]}')]
    assert read(tokens, "delivery", "payment") == {}


def test_without_log_probabilities():
    bare = [{"token": '{"labels": ["a"]}', "logprob": None, "bytes": None}]
    assert read(bare, "a", "b") == {}
    never = [row('{"labels": ['), row('"a"', 0.0), row("]}")]
    assert read(never, "a", "b") == {}


@pytest.mark.parametrize("more", [{}, {"top_logprobs": None}, {"top_logprobs": []}])
def test_without_alternatives_all_is_on_the_answer(more):
    for listed in ([], ["a"], ["b", "a"], ["c", "a", "b"]):
        text = json.dumps({"labels": listed})
        plain = [{"token": c, "logprob": -0.5} | more for c in text]
        assert read(plain, "a", "b", "c") == {c: float(c in listed) for c in "abc"}


# Any model


def tree(texts, rng):
    """Return a language model of texts: ``{token: (probability, names, model after it)}``.

    No text may be the start of another.
    """
    size = rng.randint(1, 6)
    groups = {}
    for name, text in texts.items():
        groups.setdefault(text[:size], {})[name] = text[size:]
    weights = [rng.random() + 1e-3 for _ in groups]
    return {
        piece: (weight / sum(weights), list(group), tree(group, rng) if any(group.values()) else {})
        for weight, (piece, group) in zip(weights, groups.items(), strict=True)
    }


def step(texts, answered, rng):
    """Let a model write one text; return its tokens and the probability of every name.

    Names that an alternative leaves together get equal parts of it.
    """
    node, path, tokens, expected = tree(texts, rng), 1.0, [], dict.fromkeys(texts, 0.0)
    while node:
        [taken] = [piece for piece, branch in node.items() if answered in branch[1]]
        others = {piece: branch[0] for piece, branch in node.items() if piece != taken}
        tokens.append(row(taken, node[taken][0], others))
        for piece, (p, names, _) in node.items():
            for name in names if piece != taken else ():
                expected[name] += path * p / len(names)
        path *= node[taken][0]
        node = node[taken][2]
    expected[answered] += path
    return tokens, expected


LETTERS = 'ab_, ]\\"éèп😀'
LABEL = st.text(LETTERS, min_size=1, max_size=6)


def inside(label):
    return json.dumps(label, ensure_ascii=False)[1:-1]


@settings(max_examples=300, deadline=None)
@given(st.lists(LABEL, min_size=1, max_size=6, unique=True), st.integers(0, 2**32))
def test_a_random_model_is_read_exactly(labels, seed):
    rng = random.Random(seed)
    labels = [
        a for a in labels if not any(inside(b).startswith(inside(a)) for b in labels if b != a)
    ]
    listed = rng.sample(labels, rng.randint(0, len(labels)))
    start, comma = rng.choice([" [", "["]), rng.choice([", ", ","])
    tokens, absent, sure = [row('{"labels":')], dict.fromkeys(labels, 1.0), set()
    for at, answered in enumerate([*listed, None]):
        lead, end = (f'"{comma}"', '"]}') if at else (f'{start}"', f"{start}]}}")
        left = [label for label in labels if label not in listed[:at]]
        texts = {label: (lead + inside(label)).encode() for label in left} | {None: end.encode()}
        written, expected = step(texts, answered, rng)
        tokens += written
        for label in left:
            absent[label] *= 1 - expected[label]
        if expected[answered] > 0.5:
            sure.add(answered)
    text = b"".join(bytes(token["bytes"]) for token in tokens)
    assert json.loads(text) == {"labels": listed}
    found = read(tokens, *labels)
    assert found == pytest.approx({label: 1 - p for label, p in absent.items()}, abs=1e-9)
    assert all(found[label] > 0.5 for label in sure - {None})


def pieces_of(text, rng):
    while text:
        size = rng.randint(1, 5)
        yield text[:size]
        text = text[size:]


@settings(max_examples=300, deadline=None)
@given(st.lists(LABEL, min_size=1, max_size=5, unique=True), st.integers(0, 2**32), st.data())
def test_whatever_the_alternatives_the_result_is_a_distribution(labels, seed, data):
    rng = random.Random(seed)
    listed = data.draw(st.lists(st.sampled_from(labels), max_size=4))  # repeats too
    separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n ", " : ")])
    text = json.dumps({"labels": listed}, ensure_ascii=False, separators=separators).encode()
    pool = [
        *(inside(label).encode() for label in labels),
        b'"', b"]", b"", b" ", b",", b", ", b'", "', b'"]', b'["', b"\\", b"\xf0\x9f",
    ]  # fmt: skip
    tokens = []
    for piece in pieces_of(text, rng):
        others = [rng.choice(pool) for _ in range(rng.randint(0, 5))]
        others += [piece[: rng.randint(0, 3)] + rng.choice(pool) for _ in range(3)]
        likely = [rng.random() for _ in range(len(others) + 1)]
        shares = [p / sum(likely) for p in likely]
        tokens.append(row(piece, shares[0], dict(zip(others, shares[1:], strict=True))))
    assert set(read(tokens, *labels)) == set(labels)
    bare = [{"token": "", "bytes": token["bytes"], "logprob": -1.0} for token in tokens]
    assert read(bare, *labels) == {label: float(label in listed) for label in labels}


# Many labels


def long_answer(labels, listed, words=0):
    """Return the tokens of an answer, each with 19 alternatives, after a rationale."""
    others = {f"{n:02d}": 0.02 for n in range(30, 49)}
    tokens = [row('{"rationale": "')] + [row(" word", 0.6, others) for _ in range(words)]
    tokens += [row('", "labels": ["')]
    for at, label in enumerate(listed):
        tokens += [row('", "', 0.6, {'"]': 0.02} | others)] if at else []
        tokens += [row(label[at : at + 4], 0.6, others) for at in range(0, len(label), 4)]
    return [*tokens, row('"]}', 0.6, {'", "': 0.4})]


@pytest.mark.parametrize(("n", "words"), [(3, 1000), (77, 2000)])
def test_many_labels_take_no_time(n, words):
    """Some milliseconds in truth; what grows with a power of the labels takes minutes."""
    labels = [f"card_{at:02d}_payment_or_so" for at in range(77)]
    tokens = long_answer(labels, labels[:n], words)
    began = perf_counter()
    found = read(tokens, *labels)
    assert perf_counter() - began < 2
    assert min(found[label] for label in labels[:n]) > 0.5
