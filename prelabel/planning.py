"""plan(): calls, tokens, dollars and one real prompt, before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prelabel.annotate import LLMAnnotator, find_annotators
from prelabel.budget import Budget
from prelabel.errors import InputError
from prelabel.provider import load_litellm, price_of, upper_bound
from prelabel.run import looked_at

if TYPE_CHECKING:
    from prelabel.cache import ResponseCache
    from prelabel.ledger import Ledger
    from prelabel.project import Project

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
    past calls, None without any.
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


def plan(project: Project, annotators: Sequence[str] = (), *, limit: int | None = None) -> Plan:
    """Say what ``label`` would do with the same arguments. Nothing is called or spent."""
    configs = find_annotators(project, annotators)
    project.checked_guideline()
    with looked_at(project) as (ledger, cache):
        ready = [LLMAnnotator(project, c, cache, Budget(None, lambda: 0.0)) for c in configs]
        found = [_plan_one(project, one, ledger, cache, limit) for one in ready]
        return Plan(found, cache.spent)


def _plan_one(
    project: Project, one: LLMAnnotator, ledger: Ledger, cache: ResponseCache, limit: int | None
) -> AnnotatorPlan:
    items = list(project.items(limit))
    if not items:
        raise InputError(f"{project.config.items.path}: no items; nothing to label")
    settled = ledger.settled(one.id, one.guideline_hash, items)
    waiting = [item for item in items if item.id not in settled]
    to_call, bound = [], 0.0
    for item in waiting:
        messages = [*one.llm.static, *one.compiler.compile(item).messages]
        if cache.get(one.llm.key(messages, 0)) is None:
            to_call.append(messages)
            bound += upper_bound(one.config, messages, one.llm.params) or 0.0
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
    shown = to_call[0] if to_call else [*one.llm.static, *one.compiler.compile(items[0]).messages]
    return AnnotatorPlan(
        annotator=one.config.name,
        model=one.config.model,
        items=len(items),
        settled=len(settled),
        cached=len(waiting) - len(to_call),
        calls=len(to_call),
        input_tokens=round(sent),
        output_tokens=round(len(to_call) * answered),
        dollars=dollars,
        at_most=bound if price else None,
        seconds=past["seconds"] * len(to_call) / width if past["n"] else None,
        prompt=as_text(shown),
    )


def _mean_tokens(one: LLMAnnotator, prompts: Sequence[list[dict[str, Any]]]) -> float:
    if not prompts:
        return 0.0
    step = max(1, len(prompts) // SAMPLE)
    sample = prompts[::step][:SAMPLE]
    count = load_litellm().token_counter
    return float(sum(count(model=one.config.model, messages=m) for m in sample) / len(sample))


def _shortest_answer(one: LLMAnnotator) -> int:
    label = one.task.match([one.task.guideline.label_names[0]])
    return max(1, len(json.dumps(one.task.answer(label))) // 4)


def as_text(messages: Sequence[dict[str, Any]]) -> str:
    """Write messages as people read them, each under its role."""
    parts = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join(block["text"] for block in content)
        parts.append(f"[{message['role']}]\n{content}")
    return "\n\n".join(parts)
