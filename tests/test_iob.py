"""Tags of tokens: every scheme read alike, leniently, and written back as IOB2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.exchange.iob import spans_of_tags, tags_of_spans

TOKENS = ["Ann", "Lee", "met", "Bo", "Ray", "."]
TWO = [(0, 7, "per"), (12, 18, "per")]


@pytest.mark.parametrize(
    "tags",
    [
        "B-per I-per O B-per I-per O",  # IOB2
        "I-per I-per O I-per I-per O",  # IOB1
        "B-per E-per O B-per E-per O",  # BIOES
        "B-per L-per O B-per L-per O",  # BILOU
        "B-per I-per O I-per E-per O",  # mixed
        "B-per E-per O I-per L-per O",
    ],
)
def test_every_scheme_is_read(tags):
    assert spans_of_tags(TOKENS, tags.split()) == TWO


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-a I-b", [(0, 1, "a"), (2, 3, "b")]),  # another label starts a span
        ("B-a B-a", [(0, 1, "a"), (2, 3, "a")]),
        ("I-a B-a", [(0, 1, "a"), (2, 3, "a")]),  # IOB1: B where two of a kind touch
        ("S-a I-a", [(0, 1, "a"), (2, 3, "a")]),  # a single token ends its span
        ("U-a U-a", [(0, 1, "a"), (2, 3, "a")]),
        ("E-a I-a", [(0, 1, "a"), (2, 3, "a")]),  # and so does an end
        ("O E-a", [(2, 3, "a")]),
        ("B-a E-a", [(0, 3, "a")]),
        ("B-creative-work I-creative-work", [(0, 3, "creative-work")]),
        ("O O", []),
    ],
)
def test_broken_sequences_are_read_as_conlleval_does(tags, spans):
    assert spans_of_tags(["x", "y"], tags.split()) == spans


@pytest.mark.parametrize("tag", ["per", "B", "B-", "", "X-per", "O-per", "o", "b-per", "B_per"])
def test_what_is_no_tag(tag):
    with pytest.raises(InputError, match="is not an IOB tag; write O, or B- or I- and a label"):
        spans_of_tags(["x"], [tag])


def test_a_tag_a_token():
    with pytest.raises(InputError, match="1 tags for 2 tokens; give one tag a token"):
        spans_of_tags(["x", "y"], ["O"])


def test_tags_are_iob2():
    assert tags_of_spans(TOKENS, TWO) == (["B-per", "I-per", "O", "B-per", "I-per", "O"], [])
    assert tags_of_spans(["x", "y"], [(0, 1, "a"), (2, 3, "a")]) == (["B-a", "B-a"], [])


def test_spans_that_tags_cannot_hold_are_reported():
    tags, misfits = tags_of_spans(TOKENS, [(0, 7, "a"), (4, 7, "b"), (9, 11, "c"), (12, 17, "d")])
    assert tags == ["B-a", "I-a", "O", "O", "O", "O"]
    off = "does not start and end with a token"
    assert misfits == [
        ((4, 7, "b"), "shares a token with another span"),
        ((9, 11, "c"), off),
        ((12, 17, "d"), off),
    ]
    assert tags_of_spans(TOKENS, [(4, 3, "x"), (90, 99, "x")])[1] != []


@given(
    st.lists(st.tuples(st.sampled_from(["ש", "a", "👩‍👧", "x-y", "12"]), st.booleans()), max_size=8)
)
def test_spans_become_tags_and_spans_again(pieces):
    tokens = [token for token, _ in pieces]
    tags = [f"B-{n % 2}" if marked else "O" for n, (_, marked) in enumerate(pieces)]
    spans = spans_of_tags(tokens, tags)
    assert tags_of_spans(tokens, spans) == (tags, [])
    assert all(" ".join(tokens)[start:end] for start, end, _ in spans)
