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
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", card, re.MULTILINE) == list(kinds)
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


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_item_closes_its_fence(name: str, tmp_path: Path) -> None:
    task, _, brief = name.partition(".")
    template = load_template(task, brief or "full", tmp_path)
    entities = '[{"id": "T1", "start": 0, "end": 1, "text": "a", "label": "x"}]'
    for row in ITEMS.values():
        for fields in (
            {"text": row["text"]},
            {"title": row["text"], "body": "What about this?"},
            {"entities": entities, "text": row["text"]},
        ):
            tag = fence(fields.values())
            prompt = render_item(template, fields)
            shape = unicodedata.normalize("NFKC", prompt).casefold()
            assert prompt.count(f"</{tag}>") == shape.count(f"</{tag}>") == 1
            assert shape.count(f"<{tag}>") == 1
            assert prompt.endswith(f"\n</{tag}>")
            if "<" in unicodedata.normalize("NFKC", row["text"]):
                assert shape.count(tag) == 2
            assert row["text"].strip() in prompt
            message = {"role": "user", "content": prompt}
            sent = json.dumps(message, ensure_ascii=False).encode("utf-8")
            assert json.loads(sent) == message


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
