"""Projects whose accepted labels are wrong as often as wanted, and sheets filled in as people do."""

import csv
import json
import random

from facts import Facts

from prelabel import api


def project_of(folder, truth, said, *, texts=None, gold=None, task="classification", **guideline):
    """Make a project of items ``i0`` … with annotators' labels, and gold for some items."""
    facts = Facts(folder, task, items=len(truth), **guideline)
    if texts:
        facts.texts = texts
    if gold:
        rows = [json.dumps({"id": item, "label": truth[item]}) + "\n" for item in gold]
        (folder / "gold.jsonl").write_text("".join(rows), encoding="utf-8")
        facts.settings = "gold: {path: gold.jsonl}\ndecide: {aggregate: majority}\n"
    facts.write()
    rows = [
        json.dumps({"id": item, "annotator": name, "label": label}) + "\n"
        for name, own in said.items()
        for item, label in own.items()
    ]
    (folder / "said.jsonl").write_text("".join(rows), encoding="utf-8")
    api.import_annotations(facts.project, folder / "said.jsonl", layout="long")
    return facts.project


def noisy(n=300, wrong=0.1, split=0.3, seed=1):
    """Return truth and three annotators: a share of items all get wrong, on some one differs."""
    rng = random.Random(seed)
    truth = {f"i{k}": "abc"[k % 3] for k in range(n)}
    said = {name: {} for name in "xyz"}
    for item, label in truth.items():
        common = rng.choice([x for x in "abc" if x != label]) if rng.random() < wrong else label
        for own in said.values():
            own[item] = common
        if rng.random() < split:
            said["z"][item] = rng.choice([x for x in "abc" if x != common])
    return truth, said


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def fill(path, truth, rows=None, **more):
    """Fill in a sheet as a person would."""
    rows = rows_of(path) if rows is None else rows
    rows = [row | {"label": truth.get(row["id"], "")} | more for row in rows]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
