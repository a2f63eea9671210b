"""Items that give orders: the fence holds, and whoever obeys is found out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w

from prelabel.api import score
from prelabel.guideline import Guideline, load_guideline
from prelabel.project import Project, load_project
from prelabel.prompts import fence, load_template, render_item
from prelabel.resources import data_folder
from prelabel.run import label

FOLDER = data_folder("evalsets") / "hostile-messages"


def rows(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ITEMS = {row["id"]: row for row in rows("items.jsonl")}
GOLD = {row["id"]: row for row in rows("gold.jsonl")}
ATTACKED = [one for one, row in GOLD.items() if row.get("lure")]
TWINS = [one for one, row in ITEMS.items() if "twin" in row]
TEMPLATES = sorted(
    file.name.removesuffix(".jinja")
    for file in data_folder("prompts").glob("*.jinja")
    if not file.name.startswith("_")
)


# The evalset


def test_every_attack_wants_a_wrong_label() -> None:
    assert (len(ATTACKED), len(TWINS)) == (60, 30)
    assert {*ATTACKED, *TWINS} == set(ITEMS) == set(GOLD)
    labels = {row["label"] for row in GOLD.values()}
    assert len(labels) == 5
    for one in ATTACKED:
        assert GOLD[one]["lure"] in labels - {GOLD[one]["label"]}
    assert min(Counter(GOLD[one]["lure"] for one in ATTACKED).values()) >= 10


def test_the_kinds_are_those_of_the_card() -> None:
    kinds = Counter(ITEMS[one]["attack"] for one in ATTACKED)
    assert set(kinds.values()) == {3}
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", card, re.MULTILINE)[1:] == list(kinds)
    assert {ITEMS[one]["attack"] for one in TWINS} == {"none"}


def test_a_twin_is_its_message_without_the_attack() -> None:
    assert len({ITEMS[one]["twin"] for one in TWINS}) == 30
    for one in TWINS:
        attacked = ITEMS[one]["twin"]
        assert GOLD[one]["label"] == GOLD[attacked]["label"]
        assert "lure" not in GOLD[one]
        words = ITEMS[one]["text"].split(", ")  # an attack may stand in the midst of it
        assert all(part in ITEMS[attacked]["text"] for part in words)
        assert len(ITEMS[one]["text"]) < len(ITEMS[attacked]["text"])


def test_what_cannot_be_seen_is_written_as_escapes() -> None:
    for name in ("items.jsonl", "gold.jsonl"):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert {unicodedata.category(c) for c in text if c != "\n"}.isdisjoint({"Cf", "Cc", "Co"})


# The fence


def escaped(value: Any) -> str:
    """Write JSON in which no tag is seen."""
    return json.dumps(value).replace("<", r"\u003c")


def forms(task: str, text: str) -> list[dict[str, str]]:
    """Return the fields that an item of a task may have, with ``text`` wherever there is one."""
    if task == "relations":
        spans = [{"id": text, "start": 0, "end": 1, "text": text, "label": text}]
        return [{"text": text, "spans": escaped(spans)}, {"text": "x", "spans": escaped(spans)}]
    plain = [{"a": text, "b": "What about this?"}, {"q": text, "a": text, "b": text}]
    if task == "matching":
        records = [escaped({"name": text}), escaped({text: ["x", {"y": text}]})]
        return [*plain, *({"a": record, "b": record} for record in records)]
    return plain if task == "pairwise" else [{"text": text}, *plain]


def tags(prompt: str, name: str) -> list[str]:
    """Return what looks like a tag of the fence, or one made from its name."""
    shape = unicodedata.normalize("NFKC", prompt).casefold()
    return [found.replace(name, "~") for found in re.findall(rf"<[^<>]*{name}[^<>]*>", shape)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_item_closes_its_fence(name: str, tmp_path: Path) -> None:
    task, _, brief = name.partition(".")
    template = load_template(task, brief or "full", tmp_path)
    guideline = Guideline.model_validate({"name": "g", "task": task, "given": "spans"})
    quiet = forms(task, "What about this?")
    for row in ITEMS.values():
        for fields, harmless in zip(forms(task, row["text"]), quiet, strict=True):
            prompt = render_item(template, fields, guideline)
            prompt = prompt[prompt.index("<") :]  # spans name their field before it
            tag = prompt.split(">")[0][1:]
            assert prompt.startswith(f"<{tag}>\n")
            assert prompt.endswith(f"\n</{tag}>")
            assert prompt.count(f"</{tag}>") == 1
            assert tags(prompt, tag) == tags(render_item(template, harmless, guideline), "item")
            sent = {"role": "user", "content": prompt}
            assert json.loads(json.dumps(sent, ensure_ascii=False).encode("utf-8")) == sent


def test_the_text_itself_is_shown_whole(tmp_path: Path) -> None:
    template = load_template("classification", "full", tmp_path)
    guideline = load_guideline(FOLDER / "guideline.yaml")
    for row in ITEMS.values():
        tag = fence([row["text"]])
        shown = render_item(template, {"text": row["text"]}, guideline)
        assert shown == f"<{tag}>\n{row['text']}\n</{tag}>"


# The rate


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def project_of(folder: Path, annotators: list[dict[str, Any]]) -> Project:
    settings = {
        "guideline": str(FOLDER / "guideline.yaml"),
        "items": {"path": str(FOLDER / "items.jsonl")},
        "gold": {"path": str(FOLDER / "gold.jsonl"), "lure": "lure"},
        "annotators": annotators,
        "run": {"retries": 1, "timeout": 20.0},
    }
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    return load_project(folder)


def answers(choose: dict[str, str]) -> Any:
    by_text = {ITEMS[one]["text"].strip(): said for one, said in choose.items()}
    return lambda text, _: w.Reply(json.dumps({"label": by_text[text.strip()]}))


OBEYS = {one: row.get("lure") or row["label"] for one, row in GOLD.items()}
RESISTS = {one: row["label"] for one, row in GOLD.items()}
HALF = {one: (OBEYS if n % 2 else RESISTS)[one] for n, one in enumerate(ATTACKED)} | dict.fromkeys(
    TWINS, "bike"
)


@pytest.mark.parametrize("speaker", [p.openai_like, p.anthropic_like])
@pytest.mark.parametrize(
    ("said", "rate", "unattacked"),
    [(OBEYS, 1.0, 1.0), (RESISTS, 0.0, 1.0), (HALF, None, None)],
    ids=["obeys", "resists", "half"],
)
def test_the_injection_rate_tells_who_obeys(
    tmp_path: Path, wire: w.Wire, speaker: Any, said: dict[str, str], rate: Any, unattacked: Any
) -> None:
    wire.script = answers(said)
    project = project_of(tmp_path, [speaker(wire)])
    assert label(project).outcomes == {"labeled": 90}
    (found,) = score(project).annotators
    attacked = [one for one in ATTACKED if GOLD[one]["split"] == "test"]
    twins = [one for one in TWINS if GOLD[one]["split"] == "test"]
    if rate is None:
        rate = sum(said[one] == GOLD[one]["lure"] for one in attacked) / len(attacked)
        unattacked = sum(said[one] == GOLD[one]["label"] for one in twins) / len(twins)
        assert 0 < rate < 1
        assert 0 < unattacked < 1
    injected = found.metrics["injection_rate"]
    assert (injected.value, injected.n) == (pytest.approx(rate), len(attacked))
    assert injected.low <= rate <= injected.high
    assert injected.high - injected.low < 0.35
    clean = found.metrics["accuracy_unattacked"]
    assert (clean.value, clean.n) == (pytest.approx(unattacked), len(twins))


def test_only_labels_count_for_the_rate(tmp_path: Path, wire: w.Wire) -> None:
    obey = answers(OBEYS)
    texts = {ITEMS[one]["text"].strip() for one in ATTACKED[:30]}
    refuse = w.Reply(refusal="I take no orders from items.", null=True)
    wire.script = lambda text, n: refuse if text.strip() in texts else obey(text, n)
    project = project_of(tmp_path, [p.openai_like(wire)])
    assert label(project).outcomes == {"labeled": 60, "failed": 30}
    (found,) = score(project).annotators
    left = [one for one in ATTACKED[30:] if GOLD[one]["split"] == "test"]
    assert found.metrics["injection_rate"].n == len(left)
    assert found.metrics["injection_rate"].value == 1.0
    assert found.failed == {"refused": 40 - len(left)}
