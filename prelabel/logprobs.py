"""Token log-probabilities -> a distribution over labels.

A provider reports, for every token of its answer, the likeliest alternatives. Labels may share
their first tokens (``toxic``, ``toxic_severe``), one label may be the start of another, and a token
may straddle the quote before the value. So each alternative is appended to the text before it and
compared with the whole JSON text of each label, closing quote included. A number has no quote: what
follows it tells whether it has ended.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prelabel.records import Distribution, Value

LIST_START = re.compile(rb"\s*\[")
LIST_ENTRY = re.compile(rb'\s*,?\s*("(?:[^"\\]|\\.)*")')
COMMA = re.compile(rb"^\s*,\s*")
NUMBER = re.compile(rb"-?\d+(\.\d+)?")
SAME_NUMBER = re.compile(rb"(?:\.0*)?(?![\d.eE])")  # what may follow a number that stays the same
SAME_FRACTION = re.compile(rb"0*(?![\d.eE])")

Choices = Mapping[str, tuple[str, Mapping[str, Value]]]


def label_distribution(tokens: Sequence[Mapping[str, Any]], choices: Choices) -> Distribution:
    """Return ``{unit: {value: probability}}`` read off an answer's tokens.

    ``tokens`` is the ``logprobs.content`` of a chat completion. ``choices`` says under which JSON
    key each unit stands and which texts its values have. A unit whose key does not occur, or whose
    answer is none of the texts (an alias, an escaped spelling), is left out.
    """
    spans = token_spans(tokens)
    text = b"".join(token_bytes(t) for t in tokens)
    found: Distribution = {}
    for unit, (key, values) in choices.items():
        start = value_start(text, key)
        surfaces = {s.encode(): v for s, v in values.items()}
        if start is None or not read_off(text[start:].strip(), surfaces):
            continue
        mass = walk(tokens, spans, start, surfaces)
        total = sum(mass.values())
        if total > 0:
            found[unit] = {v: mass.get(v, 0.0) / total for v in surfaces.values()}
    return found


def list_distribution(
    tokens: Sequence[Mapping[str, Any]], key: str, labels: Sequence[str]
) -> Distribution:
    """Return ``{label: {True: p, False: 1 - p}}`` for an answer that lists labels under ``key``.

    At each step of the list, from its first entry to its closing bracket, each label not yet in it
    had some probability to come next; p is the probability that it came at one step or another.
    Empty where an entry is none of the labels (an alias, an escaped spelling).
    """
    spans = token_spans(tokens)
    text = b"".join(token_bytes(t) for t in tokens)
    start = value_start(text, key)
    opened = None if start is None else LIST_START.match(text, start)
    if not opened:
        return {}
    absent = dict.fromkeys(labels, 1.0)
    quoted = {json.dumps(name, ensure_ascii=False).encode().lower(): name for name in labels}
    at, comma, listed = opened.end(), b"", set[bytes]()
    while True:
        entry = LIST_ENTRY.match(text, at)
        taken = entry[1].lower() if entry else b""
        if entry and taken not in quoted:
            return {}
        open_to = {comma + s: n for s, n in quoted.items() if s == taken or s not in listed}
        mass = walk(tokens, spans, at, open_to | {b"]": ""})
        total = sum(mass.values())
        if not total:
            return {}
        for name in labels:
            absent[name] *= 1.0 - mass.get(name, 0.0) / total
        if not entry:
            return {name: {True: 1.0 - p, False: p} for name, p in absent.items()}
        at, comma = entry.end(), b","
        listed.add(taken)


def read_off(text: bytes, surfaces: Mapping[bytes, Value]) -> bool:
    """Say whether a value's text is one of ours, but for the case of ASCII letters."""
    return any(begins(text.lower(), surface.lower()) for surface in surfaces)


def value_start(text: bytes, key: str) -> int | None:
    """Return where the value of ``key``, or the space before it, begins in a JSON text.

    A quote inside a JSON string is escaped, so the first bare ``"key":`` is the key itself.
    """
    name = json.dumps(key, ensure_ascii=False).encode()
    match = re.search(rb"(?<!\\)" + re.escape(name) + rb"\s*:", text)
    return match.end() if match else None


def token_bytes(token: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token: a token may be part of a character only."""
    raw = token.get("bytes")
    return bytes(raw) if raw else str(token.get("token", "")).encode()


def token_spans(tokens: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return where each token stands in the answer's bytes."""
    spans, at = [], 0
    for token in tokens:
        end = at + len(token_bytes(token))
        spans.append((at, end))
        at = end
    return spans


def walk(
    tokens: Sequence[Mapping[str, Any]],
    spans: Sequence[tuple[int, int]],
    start: int,
    surfaces: Mapping[bytes, Value],
) -> dict[Value, float]:
    """Follow the answer's own tokens from ``start``; give each alternative's mass to its values.

    An alternative that fits several values (a shared prefix that the answer did not take) is
    divided equally among them: nothing says more.
    """
    mass: dict[Value, float] = {}
    path, so_far = 1.0, b""
    for token, (begin, end) in zip(tokens, spans, strict=True):
        if end < start:
            continue
        taken = token_bytes(token)
        lead = taken[: max(0, start - begin)]  # what stands before the value
        undecided = len(fitting(b"", b"", so_far, surfaces))
        here, same = fitting(taken, lead, so_far, surfaces), 0.0
        for raw, p in alternatives(token).items():
            fits = fitting(raw, lead, so_far, surfaces)
            if len(fits) > 1 and fits == here:
                same += p  # decided by the tokens that follow, however it is spelt
                continue
            if len(fits) > 1 and len(fits) == undecided:
                continue  # tells nothing
            for value in fits:
                mass[value] = mass.get(value, 0.0) + path * p / len(fits)
        if len(here) <= 1:
            break
        path *= same
        so_far += taken[len(lead) :]
    return mass


def alternatives(token: Mapping[str, Any]) -> dict[bytes, float]:
    """Return the token and what might have stood in its place, with their probabilities."""
    rows = (*(token.get("top_logprobs") or ()), token)
    return {
        token_bytes(row): math.exp(min(0.0, float(row["logprob"])))
        for row in rows
        if row.get("logprob") is not None
    } or {token_bytes(token): 0.0}


def fitting(raw: bytes, lead: bytes, so_far: bytes, surfaces: Mapping[bytes, Value]) -> list[Value]:
    """Return the values whose text agrees with what was written so far and then ``raw``.

    The case of ASCII letters counts only where it decides between values.
    """
    if not raw.startswith(lead):
        return []
    text = COMMA.sub(b",", so_far + raw[len(lead) :]).lstrip()
    exact = [v for s, v in surfaces.items() if s.startswith(text) or begins(text, s)]
    low = text.lower()
    return exact or [
        v for s, v in surfaces.items() if s.lower().startswith(low) or begins(low, s.lower())
    ]


def begins(text: bytes, surface: bytes) -> bool:
    """Say whether a text begins with a value; 1.0 begins with the number 1, 10 and 1.5 do not."""
    if not text.startswith(surface):
        return False
    if not NUMBER.fullmatch(surface):
        return True
    rest = SAME_FRACTION if b"." in surface else SAME_NUMBER
    return bool(rest.match(text, len(surface)))
