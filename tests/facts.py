"""A project with a ledger of facts, for tests of what is computed of them."""

import json

from prelabel.ledger import Ledger
from prelabel.project import load_project
from prelabel.records import Annotation
from prelabel.votes import Evidence, gather

LABELS = ("a", "b", "c")


class Facts:
    """Three items and as many imported annotators as are named; facts are added by `say`."""

    def __init__(self, folder, task="classification", items=3, settings="", **guideline):
        labels = [{"name": n, "definition": n} for n in LABELS]
        document = {"name": "g", "task": task, "question": "Which?", "labels": labels} | guideline
        self.folder, self.settings, self.document = folder, settings, document
        self.texts = {f"i{n}": f"text {n}" for n in range(items)}
        self.write()
        self.ledger = Ledger(self.project.state / "ledger.sqlite")

    def write(self):
        """Write the files anew, and open the project again."""
        (self.folder / "guideline.yaml").write_text(json.dumps(self.document), encoding="utf-8")
        rows = [json.dumps({"id": key, "text": text}) + "\n" for key, text in self.texts.items()]
        (self.folder / "items.jsonl").write_text("".join(rows), encoding="utf-8")
        text = "items: {path: items.jsonl}\n" + self.settings
        (self.folder / "prelabel.yaml").write_text(text, encoding="utf-8")
        self.project = load_project(self.folder)

    def say(
        self, item_id, name, label=None, outcome="labeled", failure=None, distribution=None, **more
    ):
        """Record an annotation as of now; a name with @ is an annotator's id."""
        identifier = name if "@" in name else f"{name}@import"
        self.ledger.add_annotator(identifier, identifier.split("@")[0], "import", {})
        item = next(item for item in self.project.items() if item.id == item_id)
        made = Annotation(
            item_id,
            item.hash,
            identifier,
            self.project.guideline.hash,
            outcome,
            label,
            failure,
            distribution=distribution,
            **more,
        )
        self.ledger.add([made], [item])

    def say_all(self, item_id, *labels):
        """Record one label each of annotators x, y, z; ``!kind`` fails, ``-`` abstains."""
        for name, label in zip("xyzwv", labels, strict=False):
            if label is None:
                continue
            if label == "-":
                self.say(item_id, name, outcome="abstained")
            elif label[:1] == "!":
                self.say(item_id, name, outcome="failed", failure=label[1:])
            else:
                self.say(item_id, name, label)

    def evidence(self, *annotators) -> Evidence:
        return gather(self.project, self.ledger, annotators)
