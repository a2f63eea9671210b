"""What opinions on an item come to, and the database that they are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.guideline import Guideline
from prelabel.records import Item
from prelabel.review.entries import Candidate, Entry, entry_of
from prelabel.review.schema import Database, sqlite_url
from prelabel.review.settling import Decision, settled, stage_of, standing
from prelabel.tasks import make_task


def test_sqlite_is_durable_and_private(tmp_path: Path) -> None:
    opened = Database(sqlite_url(tmp_path / "review.sqlite"))
    with opened.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    opened.close()
    assert (tmp_path / "review.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no URL"),
        ("mysql://a/b", "SQLite and PostgreSQL"),
        ("sqlite://", "SQLite and PostgreSQL"),
        ("postgresql://secret:hidden@127.0.0.1:1/none", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(
    url: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as error:
        Database(url)
    assert "hidden" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_entry_is_read_as_it_was_written() -> None:
    item = Item("i", {"a": "\ud800\0<", "b": "é"})
    entry = Entry(item, ("tie",), ["x"], (Candidate(["x"], ("gpt",), ("why",)),), ("m abstained",))
    assert entry_of(entry.to_json()) == entry


TWO_LABELS = make_task(
    Guideline.model_validate(
        {
            "name": "comments",
            "task": "classification",
            "labels": [{"name": name, "definition": name} for name in ("toxic", "not_toxic")],
        }
    )
)
NAMES = ("ada", "bo", "cy")
ACTIONS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["toxic", "not_toxic", None, "undo"])),
    max_size=12,
)


def history(actions: list[tuple[str, str | None]]) -> list[Decision]:
    """Make the rows of one item that people's actions come to."""
    made: list[Decision] = []
    for n, (author, said) in enumerate(actions, 1):
        values: dict[str, Any] = {"n": n, "author": author, "kind": "decided", "label": said}
        if said == "undo":
            withdrawn = {one.supersedes for one in made}
            own = [
                o
                for o in made
                if o.author == author and o.kind == "decided" and o.n not in withdrawn
            ]
            if not own:
                continue
            values |= {"kind": "withdrawn", "label": None, "supersedes": own[-1].n}
        fixed: dict[str, Any] = {
            "item_id": "i", "item_hash": "h", "guideline_hash": "g", "rule_hash": "r", "cause": "",
            "note": "", "role": "senior" if author == "cy" else "reviewer", "arm": "blind",
            "seconds": 0.0, "created": 0.0,
        }  # fmt: skip
        made.append(Decision(**fixed | values))
    return made


@given(ACTIONS, st.integers(1, 3))
def test_opinions_follow_the_stacks_of_what_people_did(
    actions: list[tuple[str, str | None]], overlap: int
) -> None:
    task = TWO_LABELS
    stacks: dict[str, list[str | None]] = {name: [] for name in NAMES}
    for author, said in actions:
        if said == "undo":
            stacks[author][-1:] = []
        else:
            stacks[author].append(said)
    opinions = standing(reversed(history(actions)))
    assert {one.author: one.label for one in opinions} == {n: s[-1] for n, s in stacks.items() if s}
    final, stage = settled(opinions, task), stage_of(opinions, task, overlap)
    said = [stack[-1] for name, stack in stacks.items() if stack and name != "cy"]
    if stacks["cy"]:
        assert final is not None
        assert (final.author, final.label, stage) == ("cy", stacks["cy"][-1], "done")
    else:
        assert (final is not None) == (len(set(said)) == 1)
        want = "open" if len(said) < overlap else "done" if len(set(said)) == 1 else "conflict"
        assert stage == want
