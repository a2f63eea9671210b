"""Grounding: what an LLM names in a text -> where it stands there.

A mention is matched whole and as written. Nothing but the Unicode form (NFC, NFD) and runs of
white space may differ; case, spelling and parts of a character never.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

Span = dict[str, Any]
"""``{"start", "end", "text", "label"}``: code points, end exclusive, text as in the item."""

Place = tuple[int, int]

MOST_WORDS_OF_HINT = 8
"""On either side; who repeats more than that cannot be told apart by a few words."""

_REACHES = sorted(
    product(range(MOST_WORDS_OF_HINT + 1), repeat=2), key=lambda both: (sum(both), max(both))
)
_ZWJ, _ZWNJ = "\u200d", "\u200c"
_JOINING = {_ZWJ, "\u0e33", "\u0eb3", "\uff9e", "\uff9f"}  # spacing, and yet no character alone
_UNSPACED = re.compile(  # written without spaces, or with particles tied on: edges say nothing
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff]"
)


class Mention(NamedTuple):
    """What an annotator names; ``hint`` is a few words around it as they stand in the text."""

    text: str
    label: str
    hint: str = ""


def ground(
    text: str, mentions: Sequence[Mention], *, overlap: bool = False
) -> tuple[list[Span], list[dict[str, str]]]:
    """Return the spans of the mentions, and the mentions that have none.

    A mention stands where its hint stands; else where words begin and end; else, inside of words.
    What stands in one place only is placed first, the longer before the shorter. The others
    follow in the order of the list: each at its first free place after the mention before it
    (where the sure ones show that the list is not in the text's order: at its first free place).
    The same span with the same label counts once. An ungrounded mention is
    ``{"text", "label", "why"}``; without ``overlap`` a mention that could only overlap is one.
    """
    page = _Page(text)
    options = [page.options(mention) for mention in mentions]
    taken = _Taken(overlap)
    places: dict[int, Place] = {}
    reasons: dict[int, str] = {}

    def settle(k: int, since: int) -> None:
        found = taken.settle(options[k], mentions[k].label, since)
        if isinstance(found, str):
            reasons[k] = found
        else:
            places[k] = found

    sure = [k for k, places_of in enumerate(options) if len(places_of) == 1]
    firsts = [options[k][0][0] for k in sure]
    in_order = firsts == sorted(firsts)
    for k in sorted(sure, key=lambda k: options[k][0][0] - options[k][0][1]):
        settle(k, 0)
    since = 0
    for k in range(len(mentions)):
        if k not in places and k not in reasons:
            settle(k, since)
        if in_order and k in places:
            since = places[k][0 if overlap else 1]
    spans = [
        {"start": start, "end": end, "text": text[start:end], "label": label}
        for start, end, label in sorted(taken.spans)
    ]
    return spans, [
        {"text": mentions[k].text, "label": mentions[k].label, "why": reasons[k]}
        for k in sorted(reasons)
    ]


def hints_of(text: str, places: Sequence[Place]) -> list[str]:
    """Return for each span of a text the fewest words around it that tell it from its like.

    Empty where there is nothing like it, and where a few words cannot tell it.
    """
    page = _Page(text)
    words = [match.span() for match in re.finditer(r"\S+", text)]
    return [_hint(text, page, words, place) for place in places]


def _hint(text: str, page: _Page, words: Sequence[Place], place: Place) -> str:
    start, end = place
    mention = text[start:end]
    if len(page.options(Mention(mention, ""))) < 2:
        return ""
    first = max(bisect_left(words, (start + 1, 0)) - 1, 0)
    last = max(bisect_left(words, (end, 0)) - 1, 0)
    for before, after in _REACHES:
        left = words[max(first - before, 0)][0]
        right = words[min(last + after, len(words) - 1)][1]
        hint = text[left:right]
        if page.options(Mention(mention, "", hint)) == [place]:
            return hint
    return ""


class _Page:
    """A text in one Unicode form with single spaces, which knows its original offsets.

    Positions are those in ``plain``; ``number`` has the ones where a character as people see it
    begins (a base and its marks, an emoji sequence, a run of white space), and the end.
    """

    def __init__(self, text: str) -> None:
        self.offsets = [*_clusters(text), len(text)]
        clusters = [text[start:end] for start, end in pairwise(self.offsets)]
        self.letters = [_is_letter(cluster[0]) for cluster in clusters]
        parts = [_plain(cluster) for cluster in clusters]
        self.plain = "".join(parts)
        self.number: dict[int, int] = {}
        at = 0
        for number, part in enumerate(parts):
            self.number[at] = number
            at += len(part)
        self.number[at] = len(parts)
        self.found: dict[tuple[str, str], list[Place]] = {}
        self.everywhere: dict[str, list[int]] = {}

    def options(self, mention: Mention) -> list[Place]:
        """Return the places where a mention may stand, sorted, the best kind of them only."""
        needle, hint = plain(mention.text), plain(mention.hint)
        if (needle, hint) not in self.found:
            self.found[needle, hint] = self._options(needle, hint)
        return self.found[needle, hint]

    def _options(self, needle: str, hint: str) -> list[Place]:
        everywhere = self._everywhere(needle)
        hinted = self._within(everywhere, len(needle), hint) if needle in hint else []
        places = hinted or everywhere
        places = [at for at in places if self._is_apart(at, len(needle))] or places
        return [
            (self.offsets[self.number[at]], self.offsets[self.number[at + len(needle)]])
            for at in places
        ]

    def _everywhere(self, needle: str) -> list[int]:
        if needle not in self.everywhere:
            found = _find(self.plain, needle)
            self.everywhere[needle] = [at for at in found if self._is_whole(at, len(needle))]
        return self.everywhere[needle]

    def _is_whole(self, at: int, length: int) -> bool:
        """Return whether no character is cut in two."""
        return at in self.number and at + length in self.number

    def _is_apart(self, at: int, length: int) -> bool:
        """Return whether no word is cut in two."""
        first, after = self.number[at], self.number[at + length]
        cut_before = first > 0 and self.letters[first - 1] and self.letters[first]
        cut_after = after < len(self.letters) and self.letters[after - 1] and self.letters[after]
        return not (cut_before or cut_after)

    def _within(self, places: list[int], length: int, hint: str) -> list[int]:
        """Return the places inside of the hint, wherever that stands."""
        hints = [-len(hint), *_find(self.plain, hint)]
        last = [hints[bisect_right(hints, at) - 1] for at in places]
        slack = len(hint) - length
        return [at for at, start in zip(places, last, strict=True) if at - start <= slack]


class _Taken:
    """The spans placed so far."""

    def __init__(self, overlap: bool) -> None:
        self.overlap = overlap
        self.spans: set[tuple[int, int, str]] = set()
        self.in_order: list[tuple[int, int, str]] = []

    def settle(self, options: list[Place], label: str, since: int) -> Place | str:
        """Take the first free place from ``since`` on, or of all, or say why there is none."""
        if not options:
            return "not in the text as it is written there"
        free = self._free(options, label, since) or self._free(options, label, 0)
        if free:
            self.spans.add((*free, label))
            insort(self.in_order, (*free, label))
            return free
        for start, end, other in self.in_order:
            at = bisect_left(options, (start, end))
            if other == label and options[at : at + 1] == [(start, end)]:
                return start, end
        start, end, other = self._blocking(options[0], label) or self.in_order[0]
        return f"overlaps the span from {start} to {end} ({other})"

    def _free(self, options: list[Place], label: str, since: int) -> Place | None:
        at = bisect_left(options, (since, 0))
        while at < len(options):
            blocking = self._blocking(options[at], label)
            if blocking is None:
                return options[at]
            at = at + 1 if self.overlap else bisect_left(options, (blocking[1], 0))
        return None

    def _blocking(self, place: Place, label: str) -> tuple[int, int, str] | None:
        """Return the span that is in the way; those placed do not overlap if none may."""
        if self.overlap:
            return (*place, label) if (*place, label) in self.spans else None
        at = bisect_left(self.in_order, (place[1], 0, ""))
        last = self.in_order[at - 1] if at else None
        return last if last and last[1] > place[0] else None


def plain(text: str) -> str:
    """Return a mention or hint as it is compared: trimmed, single spaces, Unicode NFD."""
    return _plain(text.strip())


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFD", text))


def _find(text: str, needle: str) -> list[int]:
    """Return every position of ``needle``, those that overlap each other too."""
    found: list[int] = []
    at = text.find(needle) if needle else -1
    while at >= 0:
        found.append(at)
        at = text.find(needle, at + 1)
    return found


def _is_letter(char: str) -> bool:
    """Return whether a character makes words whose ends can be seen."""
    if char < "\x80":
        return char.isalnum() or char == "_"
    lettered = char.isalnum() or char == _ZWNJ or unicodedata.category(char).startswith("M")
    return lettered and not _UNSPACED.match(char)


def _clusters(text: str) -> list[int]:
    """Return where each character as people see it begins, after Unicode's annex 29.

    A run of white space counts as one. Conjuncts of Indic scripts count as several.
    """
    starts: list[int] = []
    before, flags = "", 0
    for at, char in enumerate(text):
        flags = flags + 1 if "\U0001f1e6" <= char <= "\U0001f1ff" else 0
        second_of_flag = flags > 0 and flags % 2 == 0
        if not (second_of_flag or (at and _belongs(before, char))):
            starts.append(at)
        before = char
    return starts


def _belongs(before: str, char: str) -> bool:
    """Return whether a character goes with the one before it."""
    if char.isspace():
        return before.isspace()
    if char < "\u0300":
        return False
    return (
        before == _ZWJ
        or char in _JOINING
        or unicodedata.category(char).startswith("M")
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # the tags of regional flags
        or _is_one_syllable(before, char)
    )


def _is_one_syllable(before: str, char: str) -> bool:
    """Return whether two Hangul letters stand in one syllable block."""
    if "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb":
        return True
    leading = "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c"
    return leading and (
        "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c" or "\uac00" <= char <= "\ud7a3"
    )
