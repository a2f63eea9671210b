"""A project whose guideline has a gap, and a server that answers by what its prompt says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from projects import openai_like
from wire import Reply, Wire, serving

from prelabel.project import Project, load_project
from prelabel.review.deciding import Said, decide
from prelabel.review.queue import Slot, lease
from prelabel.review.schema import QUEUE
from prelabel.review.serving import refresh
from prelabel.review.store import ensure_reviewer, open_store

GUIDELINE = """\
# How the desk sorts its mail.
name: mail
purpose: Mail is sorted by who answers it.
task: classification
question: Who answers this letter?
item: letter
labels:
  - name: garden
    definition: Plants and soil.
    examples:
      - text: my roses droop
      - text: which soil for figs
      - text: moss on the lawn
  # the kitchen also answers on wine
  - name: kitchen
    definition: Food and drink.
    examples:
      - text: bread without yeast
      - text: a soup for ten
      - text: which wine for fish

# rulings come last
rulings:
  - id: R1
    text: growing cress on a plate
    label: kitchen
"""

RULED = "herbs in pots on the windowsill"
"""The item that a ruling is made on: a letter about herbs belongs to the garden."""


def letters(n: int, herbs: int) -> tuple[list[str], list[str]]:
    """Return texts and right labels: herbs, then roses and soups in turn."""
    texts = [f"herbs in pots, letter {k}" for k in range(herbs)]
    texts += [f"{('roses', 'soups')[k % 2]} again, letter {k}" for k in range(herbs, n)]
    right = ["garden" if not text.startswith("soups") else "kitchen" for text in texts]
    return [RULED, *texts], ["garden", *right]


@contextmanager
def desk(
    folder: Path,
    n: int = 44,
    herbs: int = 22,
    *,
    harm: Sequence[str] = (),
    names: Sequence[str] = ("gpt",),
) -> Iterator[tuple[Project, Wire]]:
    """Serve a model that takes herbs for food until its prompt has the ruling on them.

    With the ruling in the prompt, letters that begin with a word of ``harm`` are answered wrong.
    """
    with serving() as wire:
        wire.script = answering(wire, harm)
        texts, right = letters(n, herbs)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "guideline.yaml").write_text(GUIDELINE)
        rows = [{"id": f"i{k}", "text": text} for k, text in enumerate(texts)]
        gold = [{"id": f"i{k}", "label": label} for k, label in enumerate(right)]
        for name, table in (("items", rows), ("gold", gold)):
            lines = "".join(json.dumps(row) + "\n" for row in table)
            (folder / f"{name}.jsonl").write_text(lines)
        settings: dict[str, Any] = {
            "items": {"path": "items.jsonl"},
            "gold": {"path": "gold.jsonl"},
            "annotators": [openai_like(wire, name, seed=k) for k, name in enumerate(names)],
            "run": {"retries": 0, "timeout": 60.0},  # the first call of a process imports a lot
            "decide": {"min_votes": 3},  # so that every letter is in the review's queue
        }
        (folder / "prelabel.yaml").write_text(json.dumps(settings))
        yield load_project(folder), wire


def answering(wire: Wire, harm: Sequence[str]) -> Callable[[str, int], Reply]:
    """Return the script of the model; it reads the prompt of the call that it answers."""

    def answer(text: str, _n: int) -> Reply:
        body = wire.requests[-1]["body"]
        if "then" in json.dumps(body.get("response_format", {})):
            said = {"when": "a letter about herbs", "then": "garden", "why": "Herbs are plants."}
            return Reply(json.dumps(said))
        ruled = RULED in body["messages"][0]["content"]
        label = "kitchen" if text.startswith("soups") else "garden"
        wrong = text.split(maxsplit=1)[0] in harm if ruled else text.startswith("herbs")
        if wrong:
            label = {"garden": "kitchen", "kitchen": "garden"}[label]
        return Reply(json.dumps({"label": label}))

    return answer


def rule(project: Project) -> None:
    """Rule that the letter on herbs belongs to the garden."""
    rule_as(project, "i0", "garden")


def rule_as(project: Project, item: str, label: Any) -> None:
    """Decide an item of the review's queue as a senior, and make it a ruling."""
    with closing(open_store(project)) as database:
        terms = refresh(project, database)
        ada = ensure_reviewer(database, "ada", "senior")
        with database.writing() as connection:
            row = connection.execute(sa.select(QUEUE).where(QUEUE.c.item_id == item)).one()
            held = Slot(row.position, row.key, item, row.item_hash, row.stage, "held", "blind", 0.0)
            slot = lease(connection, held, ada, terms)
        said = Said(label, "guideline_gap", "herbs are plants", ruling=True)
        assert decide(database, slot, ada, said, token_hex(), terms, project.task) == "stored"
