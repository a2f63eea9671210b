"""Long items -> parts that overlap, cut between sentences.

Own code because the libraries for it are heavy, dead or both, and because a missed sentence is
harmless here: what counts is that no text is lost and no character is torn.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from prelabel.errors import InputError
from prelabel.records import Item

STOPS = ".!?…‼⁇⁈⁉؟۔।॥։።"  # noqa: RUF001
WIDE_STOPS = "。！？｡"  # noqa: RUF001
CLOSERS = "\"'”’»›)\\]}」』】）＂＇"  # noqa: RUF001

END = re.compile(
    rf"(?<![{STOPS}{WIDE_STOPS}])(?:[{STOPS}]++[{CLOSERS}]*+(?=\s|\Z)"
    rf"|[{STOPS}]*+[{WIDE_STOPS}][{STOPS}{WIDE_STOPS}]*+[{CLOSERS}]*+)"
    r"|(?<![\r\n])(?>\r\n|\r|\n)[ \t]*+[\r\n]|\u2029"
)
"""The end of a sentence, or a blank line; what follows begins after the blanks behind it."""

BLANKS = re.compile(r"\s*+")

ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "rev", "gen", "col", "capt", "lt", "sgt", "hon",
    "messrs", "mme", "mlle", "vs", "cf", "approx", "resp", "incl", "excl", "bzw", "evtl", "ggf",
    "inkl", "vgl", "sog", "hr", "fr", "sr", "sra", "srta", "dra", "ud", "av", "núm", "pág",
    "janv", "jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "okt", "nov", "dez",
})  # fmt: skip
"""Words whose full stop ends no sentence."""

BEFORE_A_NUMBER = frozenset({
    "abs", "art", "ch", "ed", "eq", "fig", "figs", "mar", "dec", "max", "min", "no", "nos", "nr",
    "p", "pp", "sec", "tel", "vol",
})  # fmt: skip
"""Words whose full stop ends no sentence where a number follows."""

INITIALS = re.compile(r"(?:\w\.)*[^\W\d_]")
LIST_NUMBER = re.compile(r"(?:^|[\r\n])\s{0,8}\(?(?:\d{1,3}|[ivx]{1,4})$", re.IGNORECASE)

ZWJ = "\u200d"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a long item: ``item.fields[field]`` is ``[start:end]`` of the whole text."""

    item: Item
    start: int
    end: int
    field: str


def split_item(
    item: Item, *, characters: int, overlap: int, field: str | None = None
) -> list[Part]:
    """Return an item's parts of at most ``characters`` code points; the item itself if it fits.

    The longest text field is cut unless ``field`` names one; the others and the images go with
    every part. The parts cover the text; each begins about ``overlap`` code points before the
    last one ended, at the beginning of a sentence where there is one near. A character made of
    several code points is torn only where it is longer than a part. Raises ``InputError`` for a
    field that is not there, and for an overlap of more than half a part.
    """
    if not 0 <= overlap * 2 <= characters or characters < 1:
        raise InputError(
            f"split: overlap {overlap} does not fit characters {characters}; "
            "use an overlap from 0 to half of characters"
        )
    if field is None:
        field = max(item.fields, key=lambda name: len(item.fields[name]), default="")
    elif field not in item.fields:
        there = ", ".join(item.fields)
        raise InputError(f"item {item.id!r} has no field {field!r} to split; it has: {there}")
    text = item.fields.get(field, "")  # an item may be a picture alone
    if len(text) <= characters:
        return [Part(item, 0, len(text), field)]
    places = list(_places(text, characters, overlap))
    return [
        Part(_piece(item, field, text[start:end], n, len(places)), start, end, field)
        for n, (start, end) in enumerate(places, start=1)
    ]


def _piece(item: Item, field: str, text: str, n: int, total: int) -> Item:
    return replace(
        item,
        fields={**item.fields, field: text},
        meta={**item.meta, "part": n, "parts": total},
    )


def _places(text: str, characters: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part."""
    sentences = [at for at in sentence_starts(text) if is_whole(text, at)]
    start = end = 0
    while len(text) - start > characters:
        end = _cut(text, start, end, start + characters, sentences)
        yield start, end
        start = _restart(text, max(start + 1, end - characters // 2), end, overlap, sentences)
    yield start, len(text)


def _cut(text: str, start: int, after: int, limit: int, sentences: Sequence[int]) -> int:
    """Return where a part ends: after ``after``, at ``limit`` at the latest."""
    found = bisect_right(sentences, limit)
    if found and sentences[found - 1] > after:
        return sentences[found - 1]
    near = max(after, limit - (limit - start) // 4)  # further back, the part would be too short
    for blank in ("\n\r\u2028", None):
        for at in range(limit, near, -1):
            fits = text[at - 1] in blank if blank else text[at - 1].isspace()
            if fits and is_whole(text, at, start):
                return at
    whole = (at for at in range(limit, after, -1) if is_whole(text, at, start))
    return next(whole, limit)


def _restart(text: str, first: int, end: int, overlap: int, sentences: Sequence[int]) -> int:
    """Return where the next part begins: from ``first`` to ``end``, ``overlap`` before it."""
    if not overlap:
        return end
    aim = max(first, end - overlap)
    at = bisect_left(sentences, aim)
    near = [s for s in sentences[max(0, at - 1) : at + 1] if max(first, aim - overlap) <= s < end]
    if near:
        return min(near, key=lambda s: abs(s - aim))
    for place in range(aim, end):
        if text[place - 1].isspace() and is_whole(text, place, first):
            return place
    return next((place for place in range(aim, end) if is_whole(text, place, first)), end)


def sentence_starts(text: str) -> Iterator[int]:
    """Yield where sentences and paragraphs begin, without the first, in any script.

    A sentence ends with its mark (. ! ? … 。 …), closing quotes and the blanks behind them; a
    blank line ends one always. A full stop after an initial, a common abbreviation, or a number
    that begins a line ends none.
    """
    at = 0
    while match := END.search(text, at):
        blanks = BLANKS.match(text, match.end())
        assert blanks
        at, stop = blanks.end(), match.start()
        if at == len(text):
            return
        if match[0] == "." and _ends_nothing(text[max(0, stop - 16) : stop], text[at]):
            at = match.end()  # there may be a blank line behind it
        else:
            yield at


def _ends_nothing(before: str, following: str) -> bool:
    """Whether a full stop between the two ends no sentence."""
    words = before.split()
    word = words[-1].lstrip("\"'([{“‘„«").casefold() if words else ""  # noqa: RUF001
    if word in ABBREVIATIONS or INITIALS.fullmatch(word) or LIST_NUMBER.search(before):
        return True
    return word in BEFORE_A_NUMBER and following.isdigit()


def is_whole(text: str, at: int, since: int | None = None) -> bool:
    """Whether ``at`` tears no character apart: no CRLF, accent, emoji, flag or syllable.

    A lean form of Unicode's grapheme clusters (UAX #29). Flags are counted back to ``since``, at
    most 1000 code points.
    """
    if not 0 < at < len(text):
        return True
    a, b = text[at - 1], text[at]
    if a < "\u0300" and b < "\u0300":
        return not (a == "\r" and b == "\n")
    if unicodedata.category(b)[0] == "M" or b in "\u200c\u200d\uff9e\uff9f" or a == ZWJ:
        return False
    if "\U0001f3fb" <= b <= "\U0001f3ff" or "\U000e0020" <= b <= "\U000e007f":  # skin, tags
        return False
    if unicodedata.combining(a) == 9 and b.isalpha():  # a virama joins two consonants
        return False
    if _is_flag(a) and _is_flag(b):
        first = max(at - 1000, since or 0)
        run = next((n for n, c in enumerate(reversed(text[first:at])) if not _is_flag(c)), None)
        return (at - first if run is None else run) % 2 == 0
    return not (_is_jamo(b) and (_is_jamo(a) or "\uac00" <= a <= "\ud7a3"))


def _is_flag(c: str) -> bool:
    return "\U0001f1e6" <= c <= "\U0001f1ff"


def _is_jamo(c: str) -> bool:
    return "\u1100" <= c <= "\u11ff" or "\ua960" <= c <= "\ua97f" or "\ud7b0" <= c <= "\ud7ff"
