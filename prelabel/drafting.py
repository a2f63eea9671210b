"""An LLM's draft of an edge case, from what goes wrong; a person reads it before it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.llm import LLM, Answer
    from prelabel.project import Project

MOST_DRAFTS = 10
MOST_CHARACTERS = 2000
"""Of a case's text in a question."""


@dataclass(frozen=True, slots=True)
class Case:
    """An item that shows what goes wrong: its text, what is right, what was given, and a note."""

    item: str
    text: str
    right: str
    given: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that goes wrong with the guideline, with cases; ``then`` is a label to begin with.

    ``then`` is empty where no one label is right.
    """

    what: str
    cases: tuple[Case, ...]
    then: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An edge case as an LLM drafted it; without ``when`` none came, and ``failure`` says why."""

    topic: Topic
    when: str
    then: str
    why: str
    author: str
    failure: str = ""


def draft_edge_cases(
    project: Project, annotator: str, topics: Sequence[Topic], max_cost: float | None = None
) -> list[Draft]:
    """Return an annotator's draft of an edge case for each of the first ten topics.

    Answers are cached and count in the budget as those of labeling do. Raises ``InputError`` for an
    unknown annotator.
    """
    from prelabel.annotate import find_annotators
    from prelabel.run import budget_of, opened

    (config,) = find_annotators(project, [annotator])
    if not topics:
        return []
    most = budget_of(project, [config], max_cost)
    with opened(project) as (_ledger, cache):
        from prelabel.budget import Budget
        from prelabel.llm import LLM

        budget = Budget(most, lambda: cache.spent + cache.unconfirmed)
        static = [{"role": "system", "content": _system(project)}]
        llm = LLM(
            config, project.config.run, static, _model(project), cache, budget, reads_tokens=False
        )
        answers = asyncio.run(_ask(project, llm, topics[:MOST_DRAFTS]))
    author = f"{config.name} ({config.model})"
    return [
        Draft(topic, **answer.value, author=author)
        if answer.value
        else Draft(topic, "", "", "", author, f"{answer.failure}: {answer.detail}")
        for topic, answer in zip(topics, answers, strict=False)
    ]


async def _ask(project: Project, llm: LLM, topics: Sequence[Topic]) -> list[Answer]:
    from prelabel.provider import close_clients

    try:
        return [
            await llm.ask([{"role": "user", "content": _question(topic)}], _reader(project))
            for topic in topics
        ]
    finally:
        await close_clients()


def _system(project: Project) -> str:
    from prelabel.guideline_show import to_markdown
    from prelabel.prompts import load_template

    environment = load_template(project.task.name, "full", project.folder).environment
    page, labels = to_markdown(project.guideline), _names(project)
    template = environment.get_template("_draft.jinja")
    return template.render(guideline=project.guideline, labels=labels, page=page).strip()


def _question(topic: Topic) -> str:
    from prelabel.prompts import fence

    tag = fence([part for one in topic.cases for part in (one.text, one.note)])
    lines = [f"What goes wrong: {topic.what}.", ""]
    for one in topic.cases:
        lines += [f"<{tag}>", one.text[:MOST_CHARACTERS], f"</{tag}>", f"right: {one.right}"]
        lines += [f"given: {one.given}"] if one.given else []
        lines += [f"what the person noted: <{tag}>{one.note}</{tag}>"] if one.note else []
        lines.append("")
    return "\n".join(lines).strip()


def _names(project: Project) -> list[str]:
    """Return the labels that an edge case must name; none where it uses words."""
    from prelabel.guideline_fields import NAMING

    named = project.guideline.task in NAMING
    return list(project.guideline.label_names) if named else []


def _model(project: Project) -> type[BaseModel]:
    from prelabel.tasks.answers import answer_model, one_of

    then: Any = one_of(names) if (names := _names(project)) else str
    return answer_model(
        {"when": (str, ...), "then": (then, ...), "why": (str, ...)}, rationale=False
    )


def _reader(project: Project) -> Any:
    from prelabel.tasks import OffListError, shorten

    names = _names(project)

    def read(answer: Any) -> dict[str, str]:
        said = {name: " ".join(getattr(answer, name).split()) for name in ("when", "then", "why")}
        if not said["when"] or not said["then"]:
            raise OffListError("when and then must not be empty")
        if names:
            label = project.guideline.match(said["then"])
            if label is None:
                raise OffListError(f"then: {shorten(said['then'])} is not one of the labels")
            said["then"] = label
        return said

    return read
