"""The ledger: append-only facts, readable while they are written."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prelabel.errors import InputError
from prelabel.ledger import Ledger
from prelabel.records import Annotation, Item, Usage


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def item(name: str, text: str = "text") -> Item:
    return Item(name, {"text": text}, {"n": 1, "odd": {1, 2}})


def annotation(of: Item, outcome: str = "labeled", **fields: object) -> Annotation:
    made = Annotation(
        item_id=of.id, item_hash=of.hash, annotator="a@1", guideline_hash="g", outcome=outcome,  # type: ignore[arg-type]
        label="x" if outcome == "labeled" else None,
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def test_what_is_added_comes_back(ledger: Ledger) -> None:
    full = annotation(
        item("é\x00"), label=["a", "b"], distribution={"a": {True: 0.25, False: 0.75}},
        rationale="why", usage=Usage(2, 3, 4, 1, None, 0.5), replayed=True, latency=1.5,
        shown=("g1", "g2"), created=12.0,
    )  # fmt: skip
    failed = annotation(item("2"), "failed", failure="off_list", detail="no", created=13.0)
    none = annotation(item("3"), label=[], created=14.0)
    ledger.add([full, failed, none], [item("é\x00")])
    assert list(ledger.current(["a@1"], "g")) == [full, failed, none]
    assert list(ledger.current(["a@1"], "other")) == []
    assert list(ledger.current(["b@1"], "g")) == []
    ledger.close()


def test_half_characters_do_not_lose_a_batch(ledger: Ledger) -> None:
    odd = Item("1", {"text": "half \ud800"}, {"half": "\udc00"})
    ledger.add([annotation(odd, rationale="r \ud800", detail="d \udfff", created=1.0)], [odd])
    (back,) = ledger.current(["a@1"], "g")
    assert back.rationale == "r ?"
    assert ledger.settled("a@1", "g", [odd]) == {"1"}
    ledger.close()


def test_the_last_word_counts(ledger: Ledger) -> None:
    ledger.add([annotation(item("1"), "failed", failure="outage"), annotation(item("2"))])
    ledger.add([annotation(item("1"), label="late")])
    assert [(a.item_id, a.label) for a in ledger.current(["a@1"], "g")] == [
        ("2", "x"), ("1", "late"),
    ]  # fmt: skip
    ledger.close()


def test_settled_items_need_no_call(ledger: Ledger) -> None:
    batch = [item(str(n)) for n in range(4)]
    ledger.add(
        [
            annotation(batch[0]),
            annotation(batch[1], "abstained"),
            annotation(batch[2], "failed", failure="refused"),
        ]
    )
    assert ledger.settled("a@1", "g", batch) == {"0", "1"}
    assert ledger.settled("a@2", "g", batch) == set()
    assert ledger.settled("a@1", "new guideline", batch) == set()
    ledger.close()


def test_a_text_that_changes_and_changes_back_is_labeled_each_time(ledger: Ledger) -> None:
    old, new = item("1", "old"), item("1", "new")
    ledger.add([annotation(old)])
    assert ledger.settled("a@1", "g", [old]) == {"1"}
    assert ledger.settled("a@1", "g", [new]) == set()
    ledger.add([annotation(new)])
    assert ledger.settled("a@1", "g", [new]) == {"1"}
    assert ledger.settled("a@1", "g", [old]) == set()  # else the label of "new" would stand for it
    ledger.close()


def test_a_batch_is_all_or_nothing(ledger: Ledger) -> None:
    broken = annotation(item("2"), created=1.0)
    object.__setattr__(broken, "item_id", None)
    with pytest.raises(InputError, match="the ledger cannot be written"):
        ledger.add([annotation(item("1")), broken], [item("1")])
    assert list(ledger.current(["a@1"], "g")) == []
    ledger.close()


def test_annotators_and_account_stay(ledger: Ledger) -> None:
    ledger.add_annotator("a@1", "a", "llm", {"model": "m"})
    ledger.add_annotator("a@1", "a", "llm", {"model": "other"})
    ledger.add_annotator("b@1", "b", "person", {})
    assert [(row["id"], row["settings"]) for row in ledger.annotators()] == [
        ("a@1", {"model": "m"}), ("b@1", {}),
    ]  # fmt: skip
    account = ledger.account
    ledger.close()
    again = Ledger(ledger.path)
    assert again.account == account
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    again.close()


def test_spread_and_hashes(ledger: Ledger) -> None:
    assert ledger.spread("a@1", "g")["n"] == 0
    ledger.add(
        [
            annotation(item("1"), usage=Usage(1, 10, 4), latency=1.0),
            annotation(item("2"), usage=Usage(1, 10, 8), latency=3.0),
            annotation(item("3"), "failed", failure="outage", usage=Usage(6)),
        ]
    )
    assert ledger.spread("a@1", "g") == {"n": 2, "output_tokens": 6.0, "seconds": 2.0}
    assert ledger.hashes() == {"g": 3}
    ledger.close()


def test_writes_are_durable_and_readers_are_not_blocked(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    ledger.close()


@pytest.mark.parametrize("content", [b"not a database\n" * 200, b""])
def test_files_that_are_no_ledger(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    if not content:  # an empty file is an empty database
        Ledger(path).close()
        return
    with pytest.raises(InputError, match="the ledger cannot be opened") as caught:
        Ledger(path)
    assert "\n" not in str(caught.value)


def test_a_newer_ledger_is_refused(ledger: Ledger) -> None:
    ledger.close()
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE about SET value = '99' WHERE key = 'version'")
    db.close()
    with pytest.raises(InputError, match="version 99 is newer; upgrade"):
        Ledger(ledger.path)


READ = """
import sys, time
from pathlib import Path
from prelabel.ledger import Ledger
seen, until = 0, time.time() + 30
while time.time() < until and seen < 3000:
    ledger = Ledger(Path(sys.argv[1]))
    now = sum(1 for _ in ledger.current(["a@1"], "g"))
    assert now >= seen, (now, seen)
    assert now % 100 == 0, now  # never half a batch
    seen = now
    ledger.close()
print(seen)
"""


def test_a_second_process_reads_whole_batches_while_this_one_writes(ledger: Ledger) -> None:
    command = [sys.executable, "-c", READ, str(ledger.path)]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for n in range(30):
        batch = [item(f"{n}-{i}") for i in range(100)]
        ledger.add([annotation(one) for one in batch], batch)
    out, _ = reader.communicate(timeout=40)
    assert (reader.returncode, out.strip()) == (0, "3000")
    ledger.close()
