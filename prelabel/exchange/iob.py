"""Tags of tokens (IOB and its kin) <-> spans over the tokens joined by single spaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prelabel.errors import InputError

Tagged = tuple[int, int, str]
"""``(start, end, label)`` in code points of ``" ".join(tokens)``, end exclusive."""

_KINDS = {"B": "B", "I": "I", "E": "E", "L": "E", "S": "S", "U": "S", "M": "I"}
"""The prefixes of IOB1, IOB2, BIOES, BILOU and BMES, as begin, inside, end and single."""


def spans_of_tags(tokens: Sequence[str], tags: Sequence[str]) -> list[Tagged]:
    """Return the spans that tags such as ``B-person`` stand for.

    As lenient as conlleval (Tjong Kim Sang and Buchholz, CoNLL-2000): a span starts at B and at
    single tokens, and wherever an inside or end tag follows O, another label, or the end of a span.
    IOB1, IOB2, BIOES, BILOU and BMES are read alike. Raises ``InputError`` for another prefix, a
    tag without a label, or as many tags as there are not tokens.
    """
    if len(tokens) != len(tags):
        raise InputError(f"{len(tags)} tags for {len(tokens)} tokens; give one tag a token")
    spans: list[Tagged] = []
    goes_on, at = False, 0
    for token, tag in zip(tokens, tags, strict=True):
        kind, label = _split(tag)
        end = at + len(token)
        if goes_on and kind in {"I", "E"} and label == spans[-1][2]:
            spans[-1] = (spans[-1][0], end, label)
        elif kind != "O":
            spans.append((at, end, label))
        goes_on = kind in {"B", "I"}
        at = end + 1
    return [span for span in spans if span[0] < span[1]]


def _split(tag: str) -> tuple[str, str]:
    """Return a tag's kind (B, I, E, S or O) and label."""
    prefix, _, label = tag.strip().partition("-")
    if prefix == "O" and not label:
        return "O", ""
    if prefix not in _KINDS or not label:
        raise InputError(f"{tag!r} is not an IOB tag; write O, or B- or I- and a label")
    return _KINDS[prefix], label


def tags_of_spans(
    tokens: Sequence[str], spans: Iterable[Tagged]
) -> tuple[list[str], list[tuple[Tagged, str]]]:
    """Return IOB2 tags, and the spans that tags cannot hold, each with the reason.

    A span must start and end where tokens do, and may not share a token with one before it.
    """
    starts, ends, at = {}, {}, 0
    for number, token in enumerate(tokens):
        if token:
            starts[at], ends[at + len(token)] = number, number
        at += len(token) + 1
    tags = ["O"] * len(tokens)
    misfits: list[tuple[Tagged, str]] = []
    for span in sorted(spans):
        start, end, label = span
        if start not in starts or end not in ends or end <= start:
            misfits.append((span, "does not start and end with a token"))
            continue
        first, last = starts[start], ends[end]
        if any(tag != "O" for tag in tags[first : last + 1]):
            misfits.append((span, "shares a token with another span"))
            continue
        tags[first : last + 1] = [f"B-{label}"] + [f"I-{label}"] * (last - first)
    return tags, misfits
