"""Long items -> parts: nothing lost, nothing torn, none too long."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.records import Image, Item
from prelabel.splitting import is_whole, sentence_starts, split_item

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
PIECES = [
    "word ",
    "Dr. Who said so. ",
    "Really?! ",
    "He said: “No.” ",
    "\r\n",
    "\n\n",
    "\n",
    "\u2029",
    FAMILY,
    "👍🏽",
    "🇩🇪🇫🇷🇮🇹",
    "e\u0301",
    "क्षि",
    "각",
    "שלום עולם. ",
    "هل هذا صحيح؟ ",
    "これは文です。",
    "本当？」",
    "\u0301",
    "\u200d",
    "a",
    "1. ",
    "…",
    "\ud800",
]
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=80).map("".join)


def sentences(text: str) -> list[str]:
    starts = [0, *sentence_starts(text), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(starts)]


def parts_of(text: str, characters: int, overlap: int) -> list[tuple[int, int]]:
    found = split_item(Item("i", {"text": text}), characters=characters, overlap=overlap)
    return [(part.start, part.end) for part in found]


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, int, int]:
    characters = draw(st.integers(1, 120))
    return draw(TEXT), characters, draw(st.integers(0, characters // 2))


@given(cases())
@example(("", 1, 0))
@example(("ab", 1, 0))
@example(("e" + "\u0301" * 40, 10, 5))
@example(("🇩🇪" * 50, 9, 4))
@example(("\r\n" * 50, 3, 1))
def test_parts_cover_the_text_and_are_not_too_long(case: tuple[str, int, int]) -> None:
    text, characters, overlap = case
    item = Item("i", {"text": text})
    parts = split_item(item, characters=characters, overlap=overlap)
    if len(text) <= characters:
        assert [part.item for part in parts] == [item]
        return
    for part in parts:
        assert part.field == "text"
        assert part.item.fields["text"] == text[part.start : part.end]
        assert 0 < part.end - part.start <= characters
    assert parts[0].start == 0
    assert parts[-1].end == len(text)
    for one, two in itertools.pairwise(parts):
        assert one.start < two.start <= one.end < two.end
        shared = one.end - two.start
        assert shared <= min(2 * overlap, characters // 2)


@given(cases())
def test_a_character_is_torn_only_where_it_is_longer_than_a_part(
    case: tuple[str, int, int],
) -> None:
    text, characters, overlap = case
    whole = [at for at in range(len(text) + 1) if at in (0, len(text)) or is_whole(text, at)]
    widest = max((b - a for a, b in itertools.pairwise(whole)), default=0)
    for start, end in parts_of(text, characters, overlap):
        if widest * 4 <= characters:
            assert is_whole(text, start)
            assert is_whole(text, end)


@given(cases())
def test_the_same_text_is_split_the_same(case: tuple[str, int, int]) -> None:
    assert parts_of(*case) == parts_of(*case)


@settings(max_examples=30)
@given(
    st.lists(
        st.sampled_from(
            ["I came home late.", "Why was that?", "Nobody knew!", "It was so, said Dr. No."]
        ),
        min_size=30,
        max_size=80,
    ),
    st.integers(60, 200),
)
def test_prose_is_cut_between_sentences_and_overlaps(given: list[str], characters: int) -> None:
    text = " ".join(given)
    starts = {0, *sentence_starts(text)}
    assert len(starts) == len(given)
    places = parts_of(text, characters, 25)
    for (_, end), (start, _) in itertools.pairwise(places):
        assert end in starts
        assert start in starts
        assert 12 <= end - start <= 50


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four… Five.", ["One. ", "Two! ", "Three? ", "Four… ", "Five."]),
        ("Dr. J. R. Moor paid 3.50. He left.", ["Dr. J. R. Moor paid 3.50. ", "He left."]),
        ("See Fig. 3, e.g. here. No. 5 is out.", ["See Fig. 3, e.g. here. ", "No. 5 is out."]),
        ("I said no. She did not.", ["I said no. ", "She did not."]),
        ("Am I 42. Yes.", ["Am I 42. ", "Yes."]),
        ("Buy:\n1. milk\n2. tea", ["Buy:\n1. milk\n2. tea"]),
        ("“Go!” he said. (He left.) Then", ["“Go!” ", "he said. ", "(He left.) ", "Then"]),
        ("a title\n\nthe text\r\n\r\nmore", ["a title\n\n", "the text\r\n\r\n", "more"]),
        ("Ask the Dr.\n\nNew.", ["Ask the Dr.\n\n", "New."]),
        ("one\r\ntwo", ["one\r\ntwo"]),
        ("これは文です。「次！」終わり。", ["これは文です。", "「次！」", "終わり。"]),
        ("هل هذا؟ نعم.", ["هل هذا؟ ", "نعم."]),
        ("यह है। वह था।", ["यह है। ", "वह था।"]),
        ("wait...what? really?!", ["wait...what? ", "really?!"]),
        ("read www.a.example/b.html now", ["read www.a.example/b.html now"]),
        ("z. B. bzw. usw", ["z. B. bzw. usw"]),
        ("", [""]),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


@pytest.mark.parametrize(
    "one",
    [
        FAMILY,
        "👍🏽",
        "🇩🇪",
        "e\u0301\u0323",
        "\r\n",
        "क्ष",
        "각",
        "1\ufe0f\u20e3",
        "🏴\U000e0067\U000e007f",
    ],
)
def test_what_is_one_character(one: str) -> None:
    text = f"a {one}{one} b"
    torn = [at for at in range(2, 3 + 2 * len(one)) if not is_whole(text, at)]
    assert torn == [at for at in range(3, 2 + 2 * len(one)) if at != 2 + len(one)]


def test_without_sentences_lines_then_spaces_are_cut() -> None:
    lines = "\n".join(["seven words that end without a stop"] * 30)
    places = parts_of(lines, 150, 0)
    assert all(lines[end - 1] == "\n" for _, end in places[:-1])
    words = "word " * 100
    assert all(words[end - 1] == " " for _, end in parts_of(words, 33, 10)[:-1])
    assert all(words[start - 1] == " " for start, _ in parts_of(words, 33, 10)[1:])


def test_the_parts_are_items_of_their_own() -> None:
    picture = Image("p.png", "p.png", "0" * 64)
    fields = {"title": "Short. But long enough.", "body": "A sentence of words. " * 20}
    item = Item("x", fields, {"from": "a"}, (picture,))
    parts = split_item(item, characters=100, overlap=20)
    assert [part.item.id for part in parts] == ["x"] * len(parts)
    assert len(parts) > 4
    for n, part in enumerate(parts, start=1):
        assert part.field == "body"
        assert list(part.item.fields) == ["title", "body"]
        assert part.item.fields["title"] == fields["title"]
        assert part.item.meta == {"from": "a", "part": n, "parts": len(parts)}
        assert part.item.images == (picture,)
        assert part.item.hash != item.hash
    assert item.fields["body"] == fields["body"]
    one = split_item(item, characters=420, overlap=0)
    assert [part.item for part in one] == [item]
    assert one[0].item is item
    assert (one[0].start, one[0].end) == (0, 420)
    alone = Item("y", {}, images=(picture,))
    assert [part.item for part in split_item(alone, characters=10, overlap=0)] == [alone]
    named = split_item(item, characters=12, overlap=0, field="title")
    assert {part.field for part in named} == {"title"}
    assert named[0].item.fields["title"] == "Short. "


@pytest.mark.parametrize(
    ("characters", "overlap", "field"),
    [(10, 10, None), (10, 6, None), (0, 0, None), (10, -1, None), (10, 2, "nope")],
)
def test_what_cannot_be_done_is_one_line(characters: int, overlap: int, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        split_item(
            Item("x", {"text": "a b c"}), characters=characters, overlap=overlap, field=field
        )
    assert "\n" not in str(caught.value)
    assert (f"field {field!r}" if field else f"overlap {overlap}") in str(caught.value)


HARD = {
    "prose": "This is a sentence of words, and not a short one either. ",
    "stops": ".",
    "blanks": "\n ",
    "one word": "a",
    "flags": "🇩🇪",
    "accents": "\u0301",
    "joiners": "👨\u200d",
    "abbreviations": "dr. ",
    "closers": ".)",
}


def test_accents_are_read_with_their_letters() -> None:
    text = unicodedata.normalize("NFD", "é" * 400)
    for start, end in parts_of(text, 101, 11):
        assert not unicodedata.combining(text[start])
        assert (end - start) % 2 == 0
