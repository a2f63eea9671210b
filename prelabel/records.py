"""The facts: items, annotators, annotations, gold, adjudications; and what is computed of them.

Read this first. Nothing here has behaviour beyond hashing; only facts are stored, and
consensus and routes are computed from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Value = str | bool | int | float
"""A categorical unit's value."""

Label = Any
"""A label as its task shapes it: a string, a list of strings, …; always JSON."""

Votes = dict[str, Value]
"""One label taken apart: ``{unit: value}``."""

Distribution = dict[str, dict[Value, float]]
"""What an annotator believes: ``{unit: {value: probability}}``."""

Outcome = Literal["labeled", "abstained", "failed"]

FailureKind = Literal[
    "outage",
    "rate_limited",
    "timeout",
    "refused",
    "truncated",
    "off_list",
    "unparsable",
    "budget",
    "bad_request",
    "inconsistent",
    "too_long",
]


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def content_hash(value: Any) -> str:
    """Return 16 hex digits that identify a JSON-able value by content."""
    text = _CANONICAL.encode(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture of an item: a file's path, an ``https:`` or a ``data:`` URL.

    ``digest`` identifies the content of a file; empty for a URL, which is never fetched.
    """

    name: str
    source: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """The thing to be labeled: what the annotator sees, and metadata that it does not.

    ``images`` names pictures: paths of files, URLs, or ``data:`` URLs, each with the digest of its
    content where it is at hand. ``hash`` identifies what is labeled: an item whose text or picture
    changed is labeled anew.
    """

    id: str
    fields: Mapping[str, str]
    meta: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        seen: Any = dict(self.fields)
        if self.images:
            seen = [seen, [image.digest or image.source for image in self.images]]
        object.__setattr__(self, "hash", content_hash(seen))


@dataclass(frozen=True, slots=True)
class Gold:
    """An expert-made label for validation; never made by an LLM.

    ``lure`` is the label that an attack in the item's text wants; None where there is none.
    ``chance`` is proportional to how likely the item was to become gold, None where all were alike;
    ``cluster`` is what was drawn in place of items, such as its document; ``drawn`` says how it was
    chosen where that was not at random.
    """

    item_id: str
    label: Label
    split: str = ""
    author: str = ""
    lure: Label = None
    chance: float | None = None
    cluster: str = ""
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an annotation used: calls, tokens and dollars, failed attempts and re-asks included.

    ``cost`` is None where a price is unknown. ``unconfirmed`` is the upper bound in dollars of
    attempts that may have been billed though no answer came back (a timeout, a reset).
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = 0.0
    unconfirmed: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        unknown = self.cost is None or other.cost is None
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            None if unknown else (self.cost or 0.0) + (other.cost or 0.0),
            self.unconfirmed + other.unconfirmed,
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's outcome on one item, with where it came from.

    ``label`` is None unless the outcome is ``labeled``; ``failure`` is None unless ``failed``.
    ``shown`` lists the ids of gold items that this annotator's prompt used as examples.
    ``replayed`` is true where every answer came from the cache, so that nothing was paid now;
    ``usage`` then still says what the answer cost when it was bought. ``extras`` is plain JSON:
    ``ungrounded`` what was named but is not in the item, ``views`` the answers to an item's several
    forms, ``parts`` how many parts a long item was labeled in,
    ``confidence`` what the annotator said of its own certainty, ``consistency`` the share of its
    ``samples`` answers that agree with the label, both from 0 to 1.
    """

    item_id: str
    item_hash: str
    annotator: str
    guideline_hash: str
    outcome: Outcome
    label: Label = None
    failure: FailureKind | None = None
    detail: str = ""
    distribution: Distribution | None = None
    rationale: str = ""
    usage: Usage = field(default_factory=Usage)
    replayed: bool = False
    latency: float = 0.0
    shown: tuple[str, ...] = ()
    created: float = 0.0
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Consensus:
    """What aggregation gives for one item.

    ``label`` is None where there were no votes, or where a tie is left to people.
    ``agreement`` is the share of votes for the winning value, the least over the item's units.
    ``shares`` has that share for each unit. ``tied`` names the units where the top values had equal
    votes, however they were then broken. ``confidence`` is the calibrated probability that the
    label is right, where a rule was fitted on gold.
    """

    item_id: str
    label: Label
    agreement: float | None
    votes: int
    tied: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """The rule's word on one item: accepted, or review with the reasons."""

    item_id: str
    consensus: Consensus
    accepted: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adjudication:
    """A person's decision on one item, with who, when and why; a later one supersedes it."""

    item_id: str
    label: Label
    author: str
    cause: str
    note: str
    created: float
