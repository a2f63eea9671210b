"""annotate(): one item x one annotator -> one annotation."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prelabel.llm import LLM, Answer
from prelabel.prompts import make_compiler, template_hash
from prelabel.records import Annotation, Item, content_hash

if TYPE_CHECKING:
    from prelabel.budget import Budget
    from prelabel.cache import ResponseCache
    from prelabel.project import AnnotatorConfig, Project
    from prelabel.prompts import Compiler

NOT_THE_ANSWER = {"api_key", "concurrency", "threads", "context", "price", "reasks", "name"}
"""Settings that do not change what an annotator answers."""


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
        self.llm = LLM(
            config, project.config.run, self.compiler.static, model, self.task.read, cache, budget
        )

    async def annotate(self, item: Item) -> Annotation:
        """Label one item. Raises ``FatalModelError`` where the provider refuses every call."""
        prompt = self.compiler.compile(item)
        answer = await self.llm.ask(prompt.messages)
        return Annotation(
            item_id=item.id,
            item_hash=item.hash,
            annotator=self.id,
            guideline_hash=self.guideline_hash,
            shown=prompt.shown,
            created=time.time(),
            **self._outcome(answer),
        )

    def _outcome(self, answer: Answer) -> dict[str, Any]:
        common = {
            "detail": answer.detail,
            "rationale": answer.rationale,
            "usage": answer.usage,
            "replayed": answer.replayed,
            "latency": answer.latency,
        }
        if answer.failure:
            return common | {"outcome": "failed", "failure": answer.failure}
        if answer.abstained:
            return common | {"outcome": "abstained"}
        found = self.task.distribution(answer.tokens) if answer.tokens else None
        return common | {"outcome": "labeled", "label": answer.value, "distribution": found or None}


def compiler_of(project: Project, config: AnnotatorConfig) -> Compiler:
    """Return the compiler of an annotator's prompts."""
    shots = project.gold_shots(config.shots)
    return make_compiler(project.guideline, project.task, config, shots, project.folder)


def annotator_id(config: AnnotatorConfig, compiler: Compiler) -> str:
    """Return an annotator's identity: its name, and a hash of all that changes its answers.

    Under changed settings it is another annotator, and labels anew.
    """
    settings = config.model_dump(mode="json", exclude=NOT_THE_ANSWER)
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
    from prelabel.errors import InputError

    configured = {config.name: config for config in project.config.annotators}
    for name in names:
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise InputError(f"annotator {name!r} is not in prelabel.yaml; there are: {known}")
    if not configured:
        raise InputError(
            "prelabel.yaml names no annotators; add some under `annotators:` "
            "(`prelabel init --help` shows how)"
        )
    return [configured[name] for name in names] if names else list(configured.values())
