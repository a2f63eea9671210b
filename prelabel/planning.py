"""plan(): calls, tokens, dollars and one real prompt, before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prelabel.annotate import LLMAnnotator, find_annotators
from prelabel.budget import Budget
from prelabel.errors import InputError
from prelabel.images import usual_tokens, without_images
from prelabel.provider import load_litellm, price_of, upper_bound
from prelabel.run import looked_at, some_items

if TYPE_CHECKING:
    from prelabel.cache import ResponseCache
    from prelabel.ledger import Ledger
    from prelabel.project import Project
    from prelabel.records import Item

SAMPLE = 30
"""Prompts whose tokens are counted; the rest is taken to be alike."""

TOKENIZER_ERROR = 0.15
"""How far a tokenizer that is not the model's own is taken to be off."""


@dataclass(frozen=True)
class AnnotatorPlan:
    """What one annotator would do.

    ``settled`` items have its annotation already, ``cached`` ones an answer in the cache, so that
    ``calls`` are left. Tokens are an estimate of all those calls; dollars are an interval (low:
    shortest answers; high: longest allowed, prompts a little longer than estimated), ``at_most`` a
    hard bound without retries and re-asks. None where the price is unknown. ``seconds`` is from
    past calls, None without any. ``split`` items are labeled in parts, a call each; ``failing``
    ones will fail unasked: too long, or with a picture that this provider is not sent.
    """

    annotator: str
    model: str
    items: int
    settled: int
    cached: int
    calls: int
    input_tokens: int
    output_tokens: int
    dollars: tuple[float, float] | None
    at_most: float | None
    seconds: float | None
    prompt: str
    split: int = 0
    failing: int = 0


@dataclass(frozen=True)
class Plan:
    """The plan of a run; ``spent`` is what the project has paid so far."""

    annotators: list[AnnotatorPlan]
    spent: float

    @property
    def dollars(self) -> tuple[float, float] | None:
        """The interval for all annotators; None where one has no known price."""
        known = [plan.dollars for plan in self.annotators]
        if any(d is None for d in known):
            return None
        return sum(d[0] for d in known if d), sum(d[1] for d in known if d)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"dollars": self.dollars}


def plan(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    limit: int | None = None,
    only: Collection[str] | None = None,
) -> Plan:
    """Say what ``label`` would do with the same arguments. Nothing is called or spent."""
    configs = find_annotators(project, annotators)
    project.checked_guideline()
    with looked_at(project) as (ledger, cache):
        ready = [LLMAnnotator(project, c, cache, Budget(None, lambda: 0.0)) for c in configs]
        items = list(some_items(project, limit, only))
        found = [_plan_one(project, one, ledger, cache, items, only) for one in ready]
        return Plan(found, cache.spent)


def _plan_one(
    project: Project,
    one: LLMAnnotator,
    ledger: Ledger,
    cache: ResponseCache,
    items: Sequence[Item],
    only: Collection[str] | None,
) -> AnnotatorPlan:
    if not items:
        raise InputError(f"{project.config.items.path}: no items; nothing to label")
    settled = ledger.settled(one.id, one.guideline_hash, items, carried=only is None)
    waiting = [item for item in items if item.id not in settled]
    to_call, bound, cached, split, failing = [], 0.0, 0, 0, 0
    samples = range(one.config.samples)
    for item in waiting:
        asked = prompts_of(one, item)
        calls = [(one.llm.key(m, sample), m) for m in asked for sample in samples]
        new = [messages for key, messages in calls if cache.get(key) is None]
        to_call += [without_images(messages) for messages in new]  # not megabytes of pictures
        bound += sum(upper_bound(one.config, messages, one.llm.params) or 0.0 for messages in new)
        cached += bool(asked) and not new
        split += len(asked) > len(one.task.views(item))
        failing += not asked
    sent = _mean_tokens(one, to_call) * len(to_call)
    past = ledger.spread(one.id, one.guideline_hash)
    shortest = _shortest_answer(one)
    answered = past["output_tokens"] if past["n"] else shortest
    price = price_of(one.config)
    dollars = None
    if price:
        low = sent * (1 - TOKENIZER_ERROR) * price[0] + len(to_call) * shortest * price[1]
        high = sent * (1 + TOKENIZER_ERROR) * price[0]
        high += len(to_call) * one.config.max_tokens * price[1]
        dollars = (low, high)
    width = one.config.width(project.config.run)
    first = (waiting or items)[0]
    view = (one.asked(first) or one.task.views(first))[0]
    shown = [*one.llm.static, *one.compiler.compile(view).messages]
    return AnnotatorPlan(
        annotator=one.config.name,
        model=one.config.model,
        items=len(items),
        settled=len(settled),
        cached=cached,
        calls=len(to_call),
        input_tokens=round(sent),
        output_tokens=round(len(to_call) * answered),
        dollars=dollars,
        at_most=bound if price else None,
        seconds=past["seconds"] * len(to_call) / width if past["n"] else None,
        prompt=as_text(shown),
        split=split,
        failing=failing,
    )


def prompts_of(one: LLMAnnotator, item: Item) -> list[list[dict[str, Any]]]:
    """Return the messages of each call about one item; nothing where it will fail unasked."""
    try:
        return [[*one.llm.static, *one.prompt(view).messages] for view in one.asked(item)]
    except InputError:
        return []


def _mean_tokens(one: LLMAnnotator, prompts: Sequence[tuple[list[dict[str, Any]], int]]) -> float:
    """Return the mean tokens of prompts, each given as its texts and how many pictures it has."""
    if not prompts:
        return 0.0
    step = max(1, len(prompts) // SAMPLE)
    sample = prompts[::step][:SAMPLE]
    count, each = load_litellm().token_counter, usual_tokens(one.config.model)
    tokens = [count(model=one.config.model, messages=m) + n * each for m, n in sample]
    return float(sum(tokens) / len(sample))


def _shortest_answer(one: LLMAnnotator) -> int:
    """Return how many tokens the shortest answer has: an object with each field at its shortest."""
    schema = one.llm.response_model.model_json_schema()
    fields = [name for name in schema["properties"] if name != "rationale"]
    return max(1, len(json.dumps(dict.fromkeys(fields, "1"))) // 4)


def as_text(messages: Sequence[dict[str, Any]]) -> str:
    """Write messages as people read them, each under its role."""
    parts = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join(block_as_text(block) for block in content)
        parts.append(f"[{message['role']}]\n{content}")
    return "\n\n".join(parts)


def block_as_text(block: Mapping[str, Any]) -> str:
    """Write one block of a message; of a picture, how much is sent."""
    if block["type"] == "text":
        return str(block["text"])
    url = str(block["image_url"]["url"])
    shown = f"{len(url) * 3 // 4:,} bytes" if url.startswith("data:") else url
    return f"[picture: {shown}]\n"
