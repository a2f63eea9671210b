"""Grounding: where mentions stand, which of several places is meant, and what is not in the text."""

import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.grounding import Mention, ground, hints_of, plain

ALPHABET = [
    *("a", "b", "A", " ", "  ", "\r\n", "\n", "\t", "_", "-", ".", "'"),
    *("é", "e", "\u0301", "e\u0301", "\u0323", "ǖ", "ü", "\u0304", "ñ", "ß", "ﬁ"),
    *("한", "\u1112", "\u1161", "\u11ab", "李", "娜", "ก", "ำ", "さ", "नी", "त", "ू"),
    *("ש", "ל", "ם", "م", "ح", "\u200f", "\u200c", "\u200d"),
    *("👍", "👍🏽", "👩‍👩‍👧", "👩", "❤️", "🇵🇹", "🇳🇱", "🇵", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
]
texts = st.lists(st.sampled_from(ALPHABET), max_size=25).map("".join)
labels = st.sampled_from(["x", "y"])


@st.composite
def answers(draw):
    """A text and mentions: pieces of it, whatever, and pieces in another Unicode form."""
    text = draw(texts)
    mentions = []
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        form = draw(st.sampled_from(["NFC", "NFD", ""]))
        piece = unicodedata.normalize(form, text[start:end]) if form else text[start:end]
        named = draw(st.one_of(st.just(piece), texts))
        hint = draw(st.one_of(st.just(""), texts, st.just(text[max(start - 3, 0) : end + 3])))
        mentions.append(Mention(named, draw(labels), hint))
    return text, mentions


def places(text, *mentions, **settings):
    """The places of mentions ``(text, label, hint)``; nothing may be left over."""
    spans, left = ground(text, [Mention(*m) for m in mentions], **settings)
    assert left == []
    return [(s["start"], s["end"], s["label"]) for s in spans]


def left_over(text, *mentions, **settings):
    spans, left = ground(text, [Mention(*m) for m in mentions], **settings)
    assert all(set(entry) == {"text", "label", "why"} for entry in left)
    return len(spans), [(entry["text"], entry["why"]) for entry in left]


NOWHERE = "not in the text as it is written there"


@given(answers(), st.booleans())
def test_a_span_is_always_the_text_that_stands_there(drawn, overlap):
    text, mentions = drawn
    spans, left = ground(text, mentions, overlap=overlap)
    named = {(plain(m.text), m.label) for m in mentions}
    for span in spans:
        assert 0 <= span["start"] < span["end"] <= len(text)
        assert span["text"] == text[span["start"] : span["end"]]
        assert (plain(span["text"]), span["label"]) in named
    for entry in left:
        assert (plain(entry["text"]), entry["label"]) in named
        assert entry["why"] == NOWHERE or entry["why"].startswith("overlaps")
    assert len(spans) + len(left) <= len(mentions)
    assert bool(spans or left) == bool(mentions)


@given(answers())
def test_spans_overlap_only_where_they_may(drawn):
    text, mentions = drawn
    spans, _ = ground(text, mentions)
    for a, b in pairwise(spans):
        assert a["end"] <= b["start"]
    both, _ = ground(text, mentions, overlap=True)
    keys = [(s["start"], s["end"], s["label"]) for s in both]
    assert keys == sorted(set(keys))


@given(answers(), st.booleans())
def test_what_stands_in_the_text_is_never_called_missing(drawn, overlap):
    text, mentions = drawn
    _, left = ground(text, mentions, overlap=overlap)
    for entry in left:
        if entry["why"] == NOWHERE and plain(entry["text"]):
            alone, _ = ground(text, [Mention(entry["text"], "x")], overlap=overlap)
            assert alone == []


@given(answers())
def test_no_character_is_torn(drawn):
    text, mentions = drawn
    spans, _ = ground(text, mentions, overlap=True)
    for at in {edge for s in spans for edge in (s["start"], s["end"])} - {0, len(text)}:
        before, after = text[at - 1], text[at]
        assert not unicodedata.category(after).startswith("M"), "a mark is cut off its base"
        assert "\u200d" not in (before, after) or after.isascii(), "an emoji sequence is cut"
        assert not "\U0001f3fb" <= after <= "\U0001f3ff"
        assert not (before.isspace() and after.isspace())


@given(texts, st.data())
def test_a_span_with_its_hint_is_found_again(text, data):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    spans, _ = ground(text, [Mention(text[start:end], "x")])
    for span in spans:
        hint = hint_of(text, span["start"], span["end"])
        again, left = ground(text, [Mention(span["text"], "x", hint)])
        assert (again, left) == ([span], [])


def test_words_come_first_then_parts_of_words():
    text = "Annapolis: Ann and Annie"
    assert places(text, ("Ann", "p")) == [(11, 14, "p")]
    assert places(text, ("napoli", "p")) == [(2, 8, "p")]
    assert places("a_b b", ("b", "x")) == [(4, 5, "x")]
    assert places("15 or 5?", ("5", "n")) == [(6, 7, "n")]


def test_only_an_edge_that_is_a_letter_asks_for_a_border():
    assert places("C++11 needs C++", ("C++", "x")) == [(0, 3, "x")]
    assert places("@lotte's", ("lotte", "p")) == [(1, 6, "p")]
    assert places("cost:€5, €50", ("€5", "m")) == [(5, 7, "m")]
    assert places("x❤️Gina❤️", ("Gina", "p")) == [(3, 7, "p")]
    assert places("हिन्दीस हिन्दी", ("हिन्दी", "x")) == [(8, 14, "x")]


def test_scripts_without_spaces_have_no_borders():
    assert places("北京人在北京", ("北京", "l"), ("北京", "l")) == [(0, 2, "l"), (4, 6, "l")]
    assert places("서울은 서울", ("서울", "l"), ("서울", "l")) == [(0, 2, "l"), (4, 6, "l")]


def test_the_hint_says_which():
    text = "Dear Ann, tell Ann that Ann left."
    assert places(text, ("Ann", "p", "tell Ann that")) == [(15, 18, "p")]
    assert places(text, ("Ann", "p", "Ann left")) == [(24, 27, "p")]
    assert places(text, ("Ann", "p", "that  Ann\nleft")) == [(24, 27, "p")]
    assert places("Ann has the Annual", ("Ann", "x", "the Annual")) == [(12, 15, "x")]


@pytest.mark.parametrize("hint", ["ann left", "tell Bob", "left", "Ann right", "Ann  , tell"])
def test_a_hint_that_is_not_there_or_does_not_hold_the_mention_is_no_hint(hint):
    assert places("Dear Ann, tell Ann that Ann left.", ("Ann", "p", hint)) == [(5, 8, "p")]


def test_the_order_of_the_list_says_which():
    text = "Ann saw Bo. Then Bo saw Ann."
    assert places(text, ("Bo", "p"), ("Ann", "p")) == [(8, 10, "p"), (24, 27, "p")]
    assert places(text, ("Ann", "p"), ("Bo", "p")) == [(0, 3, "p"), (8, 10, "p")]
    assert places(text, ("Ann", "p"), ("Ann", "q")) == [(0, 3, "p"), (24, 27, "q")]


def test_a_list_out_of_order_says_nothing():
    text = "Rain in Bonn. Cy and Di like Bonn."
    ordered = places(text, ("Cy", "p"), ("Di", "p"), ("Bonn", "l"))
    assert ordered == [(14, 16, "p"), (21, 23, "p"), (29, 33, "l")]
    grouped = places(text, ("Di", "p"), ("Cy", "p"), ("Bonn", "l"))
    assert grouped == [(8, 12, "l"), (14, 16, "p"), (21, 23, "p")]


def test_sure_places_are_taken_first():
    text = "Dear Ann, tell Ann."
    assert places(text, ("Ann", "p"), ("Ann", "p", "Dear Ann")) == [(5, 8, "p"), (15, 18, "p")]
    text = "University of Paris, in Paris"
    assert places(text, ("Paris", "l"), ("University of Paris", "o")) == [
        (0, 19, "o"),
        (24, 29, "l"),
    ]


def test_repeats_count_once():
    assert places("Ann and Ann", *[("Ann", "p")] * 20) == [(0, 3, "p"), (8, 11, "p")]
    assert places("Ann and Annie", *[("Ann", "p")] * 2) == [(0, 3, "p")]
    assert places("Ann", ("Ann", "p", "Ann"), ("Ann", "p")) == [(0, 3, "p")]


def test_what_could_only_overlap_is_left_over():
    text = "The New York Times"
    mentions = [("New York", "l"), ("New York Times", "o")]
    assert left_over(text, *mentions) == (1, [("New York", "overlaps the span from 4 to 18 (o)")])
    assert places(text, *mentions, overlap=True) == [(4, 12, "l"), (4, 18, "o")]
    twice = [("Ann", "p"), ("Ann", "q")]
    assert left_over("Ann", *twice) == (1, [("Ann", "overlaps the span from 0 to 3 (p)")])
    assert places("Ann", *twice, overlap=True) == [(0, 3, "p"), (0, 3, "q")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Ann", "ann"),
        ("Ann", "Anne"),
        ("Ann Lee", "AnnLee"),
        ("Ann-Lee", "Ann Lee"),
        ("straße", "strasse"),
        ("ﬁne", "fine"),
        ("Ann", ""),
        ("Ann", " \n"),
        ("", "Ann"),
        ("“Ann”", '"Ann"'),
        ("cafe\u0301", "cafe"),
        ("café", "cafe"),
        ("한", "하"),
        ("e\u0323\u0301", "e\u0301"),
        ("👩‍👩‍👧", "👩"),
        ("👩‍👩‍👧", "👩‍👩"),
        ("👍🏽", "👍"),
        ("❤️", "❤"),
        ("🇵🇹🇳🇱", "🇹🇳"),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴"),
        ("नीतू", "नीत"),
    ],
)
def test_nothing_is_guessed(text, named):
    assert left_over(text, (named, "x")) == (0, [(named, NOWHERE)])


@pytest.mark.parametrize(
    ("text", "named", "place"),
    [
        ("the cafe\u0301.", "café", (4, 9)),
        ("the café.", "cafe\u0301", (4, 8)),
        ("e\u0301\u0323 x", "e\u0323\u0301", (0, 3)),
        ("한국", "\u1112\u1161\u11ab국", (0, 2)),
        ("Maria\r\n Santos", "Maria Santos", (0, 14)),
        ("Maria Santos", "Maria\tSantos ", (0, 12)),
        ("a\u00a0b", "a b", (0, 3)),
        ("12\r\n34", "12\n34", (0, 6)),
        ("מה שלום שרה?", "שרה", (8, 11)),
        ("كتاب محمد", "محمد", (5, 9)),
        ("کتاب‌ها", "کتاب", (0, 4)),
        ("🇵🇹🇳🇱", "🇳🇱", (2, 4)),
        ("👩 👩‍👩‍👧", "👩‍👩‍👧", (2, 7)),
    ],
)
def test_unicode_form_and_white_space_may_differ(text, named, place):
    spans, left = ground(text, [Mention(named, "x")])
    assert left == []
    assert spans == [
        {"start": place[0], "end": place[1], "text": text[slice(*place)], "label": "x"}
    ]


def hint_of(text, *place):
    return hints_of(text, [place])[0]


def test_hints_are_as_short_as_can_be():
    assert hint_of("Ann left.", 0, 3) == ""
    assert hint_of("Ann and Annie", 0, 3) == ""
    assert hint_of("Dear Ann, tell Ann.", 15, 18) == "Ann."
    assert hint_of("Will Will be there?", 5, 9) == "Will be"
    assert hint_of("a a a a a", 4, 5) == ""  # a few words cannot tell it


def test_hints_of_several_spans_are_those_of_each():
    text = "Dear Ann, tell Ann. Will Will be there?"
    found = [(at.start(), at.end()) for at in re.finditer("Ann|Will|tell", text)]
    hints = hints_of(text, found)
    assert hints == [hint_of(text, *place) for place in found]
    assert hints == ["Ann,", "", "Ann.", "Ann. Will", "Will be"]
    assert hints_of(text, []) == []


def test_hints_of_many_spans_take_little_time():
    text = ("Ann met Bob and Ann met Cy ; " * 70)[:1839]
    places = [match.span() for match in re.finditer("Ann", text)][:80]
    started = time.perf_counter()
    assert hints_of(text, places) == [""] * 80
    assert time.perf_counter() - started < 1.5  # a page for each span took over 3


def test_long_texts_with_many_mentions_take_little_time():
    text = "Ann Lee met Bob in the café, été 12. " * 3000
    named = [Mention(*m) for m in (("Ann Lee", "p"), ("Bob", "p", "met Bob in"), ("12", "n"))]
    started = time.perf_counter()
    spans, left = ground(text, named * 200)
    assert (len(spans), left) == (600, [])
    assert time.perf_counter() - started < 10
