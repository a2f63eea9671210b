"""Reviews of known gold, and reviewers of known accuracy and known trust in suggestions."""

from __future__ import annotations

import json
import random
import re
from contextlib import closing
from pathlib import Path
from typing import Any

from projects import make_project
from review_site import Browser, record

from prelabel.project import Project, load_project
from prelabel.review.store import note_about, open_store

LABELS = ("angry", "glad", "neutral")


def with_gold(
    folder: Path, n: int, gold: int, *, says: str = "half", seed: int = 0, **review: Any
) -> Project:
    """Make a project of ``n`` items whose first ``gold`` have gold, all of them sent to review.

    Three annotators name two labels of each item. What two of them say is right of every second
    item, or of all with ``says`` "right".
    """
    drawn = random.Random(seed)
    texts = [f"message {n} {drawn.random():.6f}" for n in range(n)]
    project = make_project(folder, texts, [], labels=LABELS)
    settings = json.loads((folder / "prelabel.yaml").read_text())
    settings |= {"gold": {"path": "gold.jsonl"}, "review": review}
    settings["decide"] = {"min_agreement": 0.9, "aggregate": "majority"}
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    truth = {f"i{n}": drawn.choice(LABELS) for n in range(n)}
    rows = [{"id": f"i{n}", "label": truth[f"i{n}"]} for n in range(gold)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = []
    for number, (item, label) in enumerate(truth.items()):
        other = drawn.choice([one for one in LABELS if one != label])
        most, least = (label, other) if says == "right" or number % 2 else (other, label)
        names = drawn.sample(["alpha", "beta", "gamma"], 3)
        said += [(item, names[0], most), (item, names[1], most), (item, names[2], least)]
    record(project, said)
    (folder / "truth.json").write_text(json.dumps(truth))
    return load_project(project.folder)


def seeded(project: Project, seed: str = "a seed") -> Project:
    """Fix what lots are drawn from."""
    with closing(open_store(project)) as opened, opened.writing() as connection:
        note_about(connection, seed=seed)
    return project


def truth_of(project: Project) -> dict[str, str]:
    """Return the right label of every item."""
    found: dict[str, str] = json.loads((project.folder / "truth.json").read_text())
    return found


def suggestion(html: str) -> str | None:
    """Return what a page suggests; None of a blind one."""
    found = re.search(r'class="suggested">Suggested: <b><bdi class="said">(.*?)</bdi>', html)
    return found[1] if found else None


class Simulated:
    """Somebody who is right by themselves so often, and else accepts what is suggested."""

    def __init__(self, truth: dict[str, str], accuracy: float, trust: float, seed: int) -> None:
        self.truth, self.accuracy, self.trust = truth, accuracy, trust
        self.drawn = random.Random(seed)

    def says(self, item: str, suggested: str | None) -> str:
        """Return their label of an item."""
        right = self.truth[item]
        if suggested is not None and self.drawn.random() < self.trust:
            return suggested
        if self.drawn.random() < self.accuracy:
            return right
        return self.drawn.choice([label for label in LABELS if label != right])

    def work(self, browser: Browser, n: int) -> list[str]:
        """Decide items over HTTP, and return which."""
        done = []
        for _ in range(n):
            if not browser.item:
                break
            done.append(browser.item)
            browser.decide(label=self.says(browser.item, suggestion(browser.html)))
        return done
