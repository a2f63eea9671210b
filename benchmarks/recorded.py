"""Labels that real LLMs gave, recorded with human ones: read for the benchmarks.

Human labels are the truth: a majority where there are several people, ties left out.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from prelabel.columns import held_annotations
from prelabel.guideline import Guideline
from prelabel.records import Annotation, Gold, Item
from prelabel.tasks import OffListError, Task, make_task
from prelabel.votes import Evidence
from prelabel.voting import Poll

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "llm_vs_human"
OPTION = re.compile(r"^([A-Z]): (.+)$", re.MULTILINE)
CSS = ("emotion", "ibc", "raop", "semeval_stance", "tempowic", "wiki_politeness")
POLITENESS = {"1": "Polite", "0": "Neutral", "-1": "Impolite"}


@dataclass
class Recorded:
    """Items with recorded annotations and a human label."""

    task: Task
    truth: dict[str, Any]
    annotations: dict[str, list[Annotation]] = field(default_factory=lambda: defaultdict(list))
    texts: Mapping[str, str] = field(default_factory=dict)

    def add(self, item: str, annotator: str, raw: str | None, **extras: float) -> None:
        """Record one answer; what is no label is a failure."""
        try:
            label = None if raw is None else self.task.match(raw)
        except OffListError:
            label = None
        how: dict[str, Any] = {"outcome": "labeled", "label": label}
        if label is None:
            how = {"outcome": "failed", "failure": "off_list"}
        self.annotations[item].append(Annotation(item, "", annotator, "", extras=extras, **how))

    def poll(self, item: str) -> Poll:
        """Return an item's votes."""
        return Poll({a.annotator: a.label for a in self.annotations[item] if a.label is not None})

    def evidence(self, items: Iterable[str]) -> Evidence:
        """Return the annotations of some items as the project has them."""
        given = {item: self.annotations[item] for item in items}
        names = sorted({a.annotator for own in given.values() for a in own})
        return Evidence(self.task, "", held_annotations(given), {name: name for name in names})

    def items(self, items: Iterable[str]) -> list[Item]:
        """Return items with their texts, where these are at hand."""
        return [Item(item, {"text": self.texts.get(item, "")}) for item in items]

    def gold(self, items: Iterable[str]) -> list[Gold]:
        """Return items with their human labels."""
        return [Gold(item, self.truth[item]) for item in items]


def task_of(labels: Iterable[str | dict[str, Any]]) -> Task:
    """Return a classification task with these labels."""
    named = [{"name": x, "definition": x} if isinstance(x, str) else x for x in labels]
    return make_task(Guideline(name="recorded", task="classification", labels=named))


def rating_of(low: int, high: int, tolerance: int) -> Task:
    """Return a rating task of whole numbers; those so far apart count as the same."""
    scale = {"min": low, "max": high, "tolerance": tolerance}
    return make_task(Guideline(name="recorded", task="rating", scale=scale))


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file as they stand; of JSONL, too."""
    whole = gzip.open if path.suffix == ".gz" else open
    with whole(path, "rt", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.name:
            yield from map(json.loads, file)
        else:
            yield from csv.DictReader(file)


def babe(folder: Path) -> Recorded:
    """Read 13 LLMs on 3,021 sentences: biased or not."""
    items = list(rows_of(folder / "babe_llm" / "items.csv.gz"))
    found = Recorded(
        task_of(["0", "1"]),
        {row["uuid"]: row["gold"] for row in items},
        texts={row["uuid"]: row["text"] for row in items},
    )
    for row in rows_of(folder / "babe_llm" / "llm_labels_2-shot.csv.gz"):
        item = row.pop("uuid")
        for name, raw in row.items():
            found.add(item, name, raw)
    return found


def alttest(folder: Path, name: str) -> Recorded:
    """Read six LLMs against the majority of people."""
    rows = [row for row in rows_of(folder / "alttest" / f"{name}.csv.gz") if row["label"]]
    people: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["kind"] == "human":
            people[row["item"]][row["label"]] += 1
    truth = {item: count.most_common(2) for item, count in people.items()}
    decided = {i: t[0][0] for i, t in truth.items() if len(t) == 1 or t[0][1] > t[1][1]}
    texts = folder / "alttest" / f"{name}.items.jsonl.gz"
    found = Recorded(task_of(sorted({row["label"] for row in rows})), decided)
    if texts.exists():
        found.texts = {str(row.pop("item")): "\n".join(row.values()) for row in rows_of(texts)}
    for row in rows:
        if row["kind"] == "llm":
            found.add(row["item"], row["annotator"], row["label"])
    return found


def css(folder: Path, question: str) -> Recorded:
    """Read 12 or 13 LLMs on a question; its options with their letters are the labels."""
    items = list(rows_of(folder / "css" / f"{question}.items.jsonl.gz"))
    labels = []
    for letter, text in OPTION.findall(items[0]["prompt"]):
        name, _, definition = text.partition(" (")
        aliases = [letter, f"{letter}: {text}"]
        labels.append({"name": name, "definition": definition, "aliases": aliases})
    task = task_of(labels)
    spelled = POLITENESS if question == "wiki_politeness" else {}
    truth = {str(r["idx"]): task.match(spelled.get(str(r["gold"]), str(r["gold"]))) for r in items}
    found = Recorded(task, truth, texts={str(row["idx"]): row["text"] for row in items})
    # one model's answers may end in a lone carriage return that is not quoted
    with gzip.open(folder / "css" / f"{question}.answers.csv.gz", "rt", newline="\n") as file:
        for row in csv.DictReader(line.replace("\r", "") for line in file):
            item = row.pop("idx")
            for name, raw in row.items():
                found.add(item, name, raw)
    return found


def verbalised(folder: Path, name: str) -> Recorded:
    """Read one LLM that says how sure it is."""
    plain = folder / "llm_confidence" / f"{name}.csv"
    rows = list(rows_of(plain if plain.exists() else plain.with_suffix(".csv.gz")))
    labels = sorted({row[key] for row in rows for key in ("gold_label", "gpt_label")})
    truth = {row["idx"]: row["gold_label"] for row in rows}
    found = Recorded(task_of(labels), truth)
    found.texts = {row["idx"]: row["text"] for row in rows if "text" in row}
    for row in rows:
        said = {"confidence": float(row["confidence"])} if row["confidence"] else {}
        found.add(row["idx"], "gpt", row["gpt_label"], **said)
    return found


def llmjudge(folder: Path) -> Recorded:
    """Read 33 systems that grade passages from 0 to 3."""
    found = Recorded(task_of("0123"), {})
    for row in rows_of(folder / "llmjudge" / "labels.csv.gz"):
        item = f"{row.pop('query')} {row.pop('passage')}"
        found.truth[item] = row.pop("human")
        for name, raw in row.items():
            found.add(item, name, raw or None)
    return found


def llmjudge_rated(folder: Path) -> Recorded:
    """Read the same as ratings: right is what is one grade from the human one at most."""
    nominal, found = llmjudge(folder), Recorded(rating_of(0, 3, 1), {})
    found.truth = {item: int(label) for item, label in nominal.truth.items()}
    for item, given in nominal.annotations.items():
        for a in given:
            found.add(item, a.annotator, a.label)
    return found


def summeval(folder: Path) -> Recorded:
    """Read six LLMs that rate summaries from 1 to 5; right is one point from the experts' median.

    Items are summaries in one of four respects; three experts rated each.
    """
    found, people = Recorded(rating_of(1, 5, 1), {}), defaultdict(list)
    for row in rows_of(folder / "alttest" / "summeval.csv.gz"):
        if row["kind"] == "human":
            people[row["item"]].append(int(row["label"]))
        else:
            found.add(row["item"], row["annotator"], row["label"])
    found.truth = {item: int(median(given)) for item, given in people.items()}
    return found


def pandalm(folder: Path) -> Recorded:
    """Read two LLMs that compare two answers: the first or the second is better, or none is."""
    found = Recorded(task_of("012"), {})
    for row in rows_of(folder / "pandalm" / "pandalm_testset.jsonl.gz"):
        people = Counter(str(row[f"annotator{n}"]) for n in (1, 2, 3))
        [(label, votes)] = people.most_common(1)
        if votes > 1:
            item = str(row["idx"])
            found.truth[item] = label
            for name in ("gpt35", "pandalm7b"):
                said = str(row[f"{name}_result"])
                found.add(item, name, "0" if said == "Tie" else said)
    return found


DATA: dict[str, Callable[[Path], Recorded]] = {
    "babe": babe,
    **{n: lambda f, n=n: alttest(f, n) for n in ("framing", "10k_prompts", "wax")},
    **{f"css {q}": lambda f, q=q: css(f, q) for q in CSS},
    **{n: lambda f, n=n: verbalised(f, n) for n in ("global_warming", "mrpc", "mt_bench")},
    "llmjudge": llmjudge,
    "pandalm": pandalm,
}

RATED: dict[str, Callable[[Path], Recorded]] = {
    "summeval": summeval,
    "llmjudge rated": llmjudge_rated,
}
