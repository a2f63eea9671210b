"""annotate(): one item x one annotator -> one annotation."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.images import need_sendable
from prelabel.llm import LLM, Answer
from prelabel.prompts import make_compiler, template_hash
from prelabel.records import Annotation, FailureKind, Item, Outcome, Usage, content_hash
from prelabel.self_consistency import Said, most_said
from prelabel.tasks import InconsistentError, OffListError, Reading, Task
from prelabel.tasks.answers import CONFIDENCE, with_confidence

if TYPE_CHECKING:
    from prelabel.budget import Budget
    from prelabel.cache import ResponseCache
    from prelabel.project import Project
    from prelabel.prompts import Compiler, Prompt
    from prelabel.settings import AnnotatorConfig
    from prelabel.splitting import Part

NOT_THE_ANSWER = {"api_key", "concurrency", "threads", "context", "price", "reasks", "name"}
"""Settings that do not change what an annotator answers."""

ADDED = ("confidence", "samples")
"""Settings that came later: at their default an annotator is who it was without them."""

UNANSWERED = ("outage", "rate_limited", "timeout", "budget", "bad_request", "too_long")
"""Failures without an answer: they say nothing of what the annotator thinks of an item."""

SECRET = re.compile(r"(key|token|secret|password|authorization|cookie)$", re.IGNORECASE)


class LLMAnnotator:
    """An LLM annotator made ready: its prompts compiled, its model prepared."""

    def __init__(
        self, project: Project, config: AnnotatorConfig, cache: ResponseCache, budget: Budget
    ) -> None:
        self.config = config
        self.task = project.task
        self.guideline_hash = project.guideline.hash
        self.compiler = compiler_of(project, config)
        self.id = annotator_id(config, self.compiler)
        model = self.task.response_model(rationale=config.rationale)
        if config.confidence:
            model = with_confidence(model)
        self.llm = LLM(
            config,
            project.config.run,
            self.compiler.static,
            model,
            cache,
            budget,
            reads_tokens=type(self.task).distribution is not Task.distribution,
        )

    async def annotate(self, item: Item) -> Annotation:
        """Label one item. Raises ``FatalModelError`` where the provider refuses every call."""
        said = _Heard()
        try:
            found = await self._label(item, said)
            outcome = {"outcome": "labeled", "label": found.label, "extras": found.extras}
            outcome["distribution"] = found.distribution
        except _NoLabelError as error:
            outcome = error.outcome
        return Annotation(
            item_id=item.id,
            item_hash=item.hash,
            annotator=self.id,
            guideline_hash=self.guideline_hash,
            detail=said.detail,
            rationale="\n".join(said.rationales),
            usage=said.usage,
            replayed=said.replayed,
            latency=said.latency,
            shown=tuple(dict.fromkeys(said.shown)),
            created=time.time(),
            **outcome,
        )

    def parts(self, item: Item) -> list[Part]:
        """Return the parts that an item is labeled in; one, unless it is long."""
        from prelabel.splitting import Part, split_item

        split = self.config.split
        if split is None:
            return [Part(item, 0, 0, "")]
        return split_item(item, characters=split.characters, overlap=split.overlap)

    def asked(self, item: Item) -> list[Item]:
        """Return what is asked about for one item, a call each; nothing where it is too long."""
        parts = self.parts(item)
        if len(parts) > 1 and not self.task.splits:
            return []
        return [view for part in parts for view in self.task.views(part.item)]

    def prompt(self, item: Item) -> Prompt:
        """Return what is sent for one item. Raises ``InputError`` for an unsendable picture."""
        prompt = self.compiler.compile(item)
        need_sendable(prompt.images, self.llm.able["provider"])
        return prompt

    async def _label(self, item: Item, said: _Heard) -> Reading:
        """Return what an item's label is: where it is asked about several times, by most answers.

        An answer without a label has no vote. Where no more than half have one, the outcome is the
        most frequent of the others. A call without an answer fails the item at once: the next run
        goes on from the answers kept, so that no label hangs on how the provider was that day.
        """
        samples = self.config.samples
        if samples == 1:
            return await self._once(item, said, 0)
        answers, others = list[Said](), list[_NoLabelError]()
        for sample in range(samples):
            own = _Heard()
            try:
                reading = await self._once(item, own, sample)
                answers.append(Said(reading, "\n".join(own.rationales)))
            except _NoLabelError as error:
                others.append(error.told(own.detail, samples))
            said.join(own)
            if others and others[-1].outcome["failure"] in UNANSWERED:
                raise others[-1]
        if 2 * len(answers) <= samples:
            most, _ = Counter(map(str, others)).most_common(1)[0]  # of several the first
            chosen = next(other for other in others if str(other) == most)
            said.detail = chosen.detail
            raise chosen
        found = most_said(self.task, item, answers, samples)
        said.detail, said.rationales = "", [found.rationale] if found.rationale else []
        return found.reading

    async def _once(self, item: Item, said: _Heard, sample: int) -> Reading:
        """Return what the parts of an item say together; those that abstain have no say."""
        parts = self.parts(item)
        if len(parts) == 1:
            return await self._part(item, said, sample)
        if not self.task.splits:
            said.detail = (
                f"longer than {self.config.split.characters:,} characters, and "  # type: ignore[union-attr]
                f"{self.task.name} cannot be labeled in parts"
                + ("; declare `merge:` in the guideline" if self.task.name == "rating" else "")
            )
            raise _NoLabelError("failed", "too_long")
        found: list[tuple[Part, Reading]] = []
        for part in parts:
            try:
                found.append((part, await self._part(part.item, said, sample)))
            except _NoLabelError as error:
                if error.outcome["outcome"] != "abstained":
                    raise
        if not found:
            raise _NoLabelError("abstained")
        readings = [reading for _, reading in found]
        try:
            merged = self.task.merge([part for part, _ in found], readings)
        except OffListError as error:
            said.detail = str(error)
            raise _NoLabelError("failed", "off_list") from None
        merged = with_least_confidence(merged, readings)
        return replace(merged, extras={**merged.extras, "parts": len(parts)}, distribution=None)

    async def _part(self, item: Item, said: _Heard, sample: int) -> Reading:
        """Return what the views of an item, or of a part of it, say together."""
        views = self.task.views(item)
        readings = []
        for number, view in enumerate(views, 1):
            readings.append(await self._ask(view, said, sample))
            if len(views) > 1 and len(said.rationales) == number:
                said.rationales[-1] = f"{number}. {said.rationales[-1]}"
        try:
            return with_least_confidence(self.task.unite(readings), readings)
        except InconsistentError as error:
            said.detail = str(error)
            raise _NoLabelError("failed", "inconsistent", error.extras) from None

    async def _ask(self, item: Item, said: _Heard, sample: int) -> Reading:
        """Ask once, and return what the answer says."""
        try:
            prompt = self.prompt(item)
        except InputError as error:  # a picture that cannot be sent
            said.detail = str(error)
            raise _NoLabelError("failed", "bad_request") from None
        read = partial(self.task.read, item=item)
        answer = await self.llm.ask(prompt.messages, read, sample, counted=said.counted)
        said.add(answer, prompt.shown)
        if answer.failure:
            raise _NoLabelError("failed", answer.failure)
        if answer.abstained:
            raise _NoLabelError("abstained")
        found = self.task.distribution(answer.tokens) if answer.tokens else None
        reading: Reading = replace(answer.value, distribution=found or None)
        if answer.confidence is None:
            return reading
        return replace(reading, extras={**reading.extras, CONFIDENCE: answer.confidence})


def with_least_confidence(one: Reading, readings: Sequence[Reading]) -> Reading:
    """Return what readings say together, as sure as the least sure; of one unknown, unknown."""
    said: list[Any] = [reading.extras.get(CONFIDENCE) for reading in readings]
    extras = {name: x for name, x in one.extras.items() if name != CONFIDENCE}
    return replace(one, extras=extras if None in said else {**extras, CONFIDENCE: min(said)})


@dataclass
class _Heard:
    """What all answers about one item come to."""

    usage: Usage = field(default_factory=Usage)
    replayed: bool = True
    latency: float = 0.0
    detail: str = ""
    rationales: list[str] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)

    def add(self, answer: Answer, shown: Sequence[str]) -> None:
        """Take one answer in."""
        self.usage += answer.usage
        self.replayed &= answer.replayed
        self.latency += answer.latency
        self.detail = answer.detail
        self.rationales += [answer.rationale] if answer.rationale else []
        self.shown += shown

    def join(self, other: _Heard) -> None:
        """Take in all answers about the item at another time that it was asked about."""
        self.usage += other.usage
        self.replayed &= other.replayed
        self.latency += other.latency
        self.detail = other.detail
        self.rationales += other.rationales
        self.shown += other.shown


class _NoLabelError(Exception):
    """No label came of an item: it failed, or the annotator abstained."""

    def __init__(
        self,
        outcome: Outcome,
        failure: FailureKind | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(failure or outcome)
        self.outcome: dict[str, Any] = {"outcome": outcome, "failure": failure}
        self.outcome["extras"] = extras or {}
        self.detail = ""

    def told(self, detail: str, samples: int) -> _NoLabelError:
        """Return it as what came of one of several times that the item was asked about."""
        self.outcome["extras"] = {**self.outcome["extras"], "samples": samples}
        self.detail = detail
        return self


def compiler_of(project: Project, config: AnnotatorConfig) -> Compiler:
    """Return the compiler of an annotator's prompts."""
    shots = project.gold_shots(config.shots)
    return make_compiler(project.guideline, project.task, config, shots, project.folder)


def annotator_id(config: AnnotatorConfig, compiler: Compiler) -> str:
    """Return an annotator's identity: its name, and a hash of all that changes its answers.

    Under changed settings it is another annotator, and labels anew.
    """
    settings = config.model_dump(mode="json", exclude=NOT_THE_ANSWER)
    for name in ADDED:
        if settings[name] == type(config).model_fields[name].default:
            del settings[name]
    shots = compiler.selector.identity()
    parts = [settings, template_hash(compiler.template), compiler.static, shots]
    return f"{config.name}@{content_hash(parts)[:8]}"


def settings_of(config: AnnotatorConfig) -> dict[str, Any]:
    """Return an annotator's settings for the ledger, without keys and passwords."""
    settings = config.model_dump(mode="json", exclude={"api_key"})
    settings["extra"] = without_keys(settings["extra"])
    if config.base_url:
        settings["base_url"] = re.sub(r"(?<=//)[^/@]+(?=@)", "***", config.base_url)
    return settings


def without_keys(value: Any) -> Any:
    """Blot out what stands under a name like ``Authorization`` or ``X-Api-Key``."""
    if isinstance(value, list):
        return [without_keys(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: "***" if SECRET.search(name) else without_keys(part) for name, part in value.items()
    }


def find_annotators(project: Project, names: Sequence[str]) -> list[AnnotatorConfig]:
    """Return the configured annotators, or those named. Raises ``InputError``."""
    configured = {config.name: config for config in project.config.annotators}
    for name in names:
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise InputError(f"annotator {name!r} is not in prelabel.yaml; there are: {known}")
    if not configured:
        raise InputError(
            "prelabel.yaml names no annotators; add some under `annotators:` "
            "(docs/files.md and `prelabel schema project` say how)"
        )
    return [configured[name] for name in names] if names else list(configured.values())
