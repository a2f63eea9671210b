"""A project of three annotators that err together, with gold, for tests of promises."""

import json
import random

from facts import Facts

from prelabel import api

WORDS = [
    "tent",
    "pitch",
    "fire",
    "water",
    "dog",
    "bike",
    "river",
    "gate",
    "noise",
    "light",
    "wood",
    "stove",
]


def camp(folder, items=400, gold=300, decide="", seed=1, **gold_file):
    """Make a project of three annotators that are often wrong together where an item is hard.

    Hard items, half of them, have a word of their own in the text; the others are easy. Returns the
    project and the true labels.
    """
    random_ = random.Random(seed)
    truth = [random_.choice("abc") for _ in range(items)]
    hard = [random_.random() < 0.5 for _ in range(items)]
    rows = [
        json.dumps({"key": f"i{n}", "label": truth[n]} | {k: f(n) for k, f in gold_file.items()})
        for n in random_.sample(range(items), gold)
    ]
    (folder / "gold.jsonl").write_text("\n".join(rows), encoding="utf-8")
    settings = f"gold: {{path: gold.jsonl, id: key}}\ndecide: {{{decide}}}\n"
    facts = Facts(folder, items=0, settings="")
    facts.settings = settings
    facts.texts = {
        f"i{n}": " ".join([*random_.choices(WORDS, k=6), "tangled" if hard[n] else "plain"])
        for n in range(items)
    }
    facts.write()
    found = list(facts.project.items())
    table = []
    for n, item in enumerate(found):
        shared = random_.choice("abc")
        said = {"id": item.id}
        for name in "xyz":
            own = random_.random()
            lost = shared if own < 0.9 else random_.choice("abc")
            said[name] = lost if hard[n] and random_.random() < 0.8 else truth[n]
        table.append(json.dumps(said))
    (folder / "said.jsonl").write_text("\n".join(table), encoding="utf-8")
    api.import_annotations(facts.project, folder / "said.jsonl")
    return facts.project, {f"i{n}": label for n, label in enumerate(truth)}
