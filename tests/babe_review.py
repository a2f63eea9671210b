"""BABE reviewed: LLMs' recorded labels, a rule fitted on random gold, and experts who answer.

For a test and a benchmark. Gold is BABE's own label; who reviews is one of the experts whose single
labels are known, drawn anew for each item, or somebody who always says what gold says.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prelabel import api
from prelabel.project import Project, load_project
from prelabel.review import deciding, decisions, queue
from prelabel.review.deciding import Said
from prelabel.review.queue import Slot, Terms
from prelabel.review.schema import Database
from prelabel.review.serving import refresh
from prelabel.review.store import Reviewer, ensure_reviewer, open_store

MODELS = ("gpt_3_5", "flan_ul2", "openchat", "mixtral_8x7b", "zephyr")
SETTING = "4-shot"
NAMES = {"0": "neutral", "1": "biased"}
GUIDELINE = {
    "name": "media-bias",
    "task": "classification",
    "question": "Is the sentence biased by its words?",
    "labels": [
        {"name": "biased", "definition": "Its words favour or damage a side beyond the facts."},
        {"name": "neutral", "definition": "It says what happened, in words that favour no side."},
    ],
}


@dataclass(frozen=True)
class Babe:
    """Sentences with gold, what LLMs said of them, and what each expert did."""

    texts: dict[str, str]
    gold: dict[str, str]
    experts: dict[str, list[str]]
    said: list[tuple[str, str, str]]


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_babe(folder: Path, n: int | None = None, seed: int = 0) -> Babe:
    """Read the sentences that single experts labeled, or ``n`` of them at random."""
    experts: dict[str, list[str]] = {}
    for row in _rows(folder / "expert_labels.csv.gz"):
        if row["label"] in NAMES:
            experts.setdefault(row["uuid"], []).append(NAMES[row["label"]])
    items = {row["uuid"]: row for row in _rows(folder / "items.csv.gz") if row["uuid"] in experts}
    kept = sorted(items)
    if n is not None:
        kept = random.Random(seed).sample(kept, n)
    among = set(kept)
    said = [
        (row["uuid"], model, NAMES[row[model]])
        for row in _rows(folder / f"llm_labels_{SETTING}.csv.gz")
        if row["uuid"] in among
        for model in MODELS
        if row[model] in NAMES
    ]
    return Babe(
        {item: items[item]["text"] for item in kept},
        {item: NAMES[items[item]["gold"]] for item in kept},
        {item: experts[item] for item in kept},
        said,
    )


def make_babe(folder: Path, babe: Babe, fitting: Sequence[str], **decide: object) -> Project:
    """Write a project of all sentences, with the gold of those in ``fitting`` alone."""
    folder.mkdir(parents=True)
    settings = {
        "items": {"path": "items.jsonl"},
        "gold": {"path": "gold.jsonl"},
        "decide": decide,
    }
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    (folder / "guideline.yaml").write_text(json.dumps(GUIDELINE))
    _write(folder / "items.jsonl", [{"id": i, "text": text} for i, text in babe.texts.items()])
    _write(folder / "gold.jsonl", [{"id": i, "label": babe.gold[i]} for i in fitting])
    rows = [{"id": item, "annotator": name, "label": label} for item, name, label in babe.said]
    _write(folder / "said.jsonl", rows)
    project = load_project(folder)
    api.import_annotations(project, folder / "said.jsonl", layout="long")
    return project


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def review_all(project: Project, answers: Mapping[str, str]) -> dict[str, str]:
    """Let one reviewer empty the queue as the pages do, and return what was decided."""
    with closing(open_store(project)) as opened:
        terms = refresh(project, opened)
        who = ensure_reviewer(opened, "expert", "reviewer")
        while slot := _next(opened, who, terms):
            said = Said(answers[slot.item_id], "", "", ruling=False)
            deciding.decide(opened, slot, who, said, slot.key * 2, terms, project.task)
    return {item: str(one.label) for item, one in decisions(project).items()}


def _next(opened: Database, who: Reviewer, terms: Terms) -> Slot | None:
    with opened.writing() as connection:
        return queue.hand_out(connection, who, terms)


@dataclass(frozen=True)
class Outcome:
    """How many of the items without gold are right: before review, after it, and so on.

    ``reviewed`` is how many of ``n`` were; ``chance`` is the quality after as many random reviews.
    """

    n: int
    reviewed: int
    before: float
    after: float
    chance: float


def review_babe(
    folder: Path, babe: Babe, gold: int, *, perfect: bool, seed: int, **decide: object
) -> Outcome:
    """Fit a rule on ``gold`` random items, let an expert review what it sends on, and compare."""
    drawn = random.Random(seed)
    fitting = drawn.sample(sorted(babe.texts), gold)
    project = make_babe(folder, babe, fitting, **decide)
    rest = sorted(babe.texts.keys() - set(fitting))
    answers = {
        item: babe.gold[item] if perfect else drawn.choice(babe.experts[item])
        for item in sorted(babe.texts)
    }
    labels = {item: one.consensus.label for item, one in api.route(project).items.items()}
    done = review_all(project, answers)
    reviewed = [item for item in rest if item in done]
    instead = set(drawn.sample(rest, len(reviewed)))

    def quality(by_people: Mapping[str, str]) -> float:
        final = {item: by_people.get(item, labels[item]) for item in rest}
        return sum(final[item] == babe.gold[item] for item in rest) / len(rest)

    return Outcome(
        len(rest),
        len(reviewed),
        quality({}),
        quality(done),
        quality({item: answers[item] for item in instead}),
    )
