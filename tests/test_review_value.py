"""Review of what the rule sends on is worth more than as many reviews of random items."""

from __future__ import annotations

from pathlib import Path

from babe_review import read_babe, review_babe


def test_routed_reviews_of_babe_beat_random_ones(shared_data: Path, tmp_path: Path) -> None:
    babe = read_babe(shared_data / "llm_vs_human" / "babe_llm", 500)
    rule = {"promise": "dataset", "target": 0.12, "delta": 0.1}
    found = review_babe(tmp_path / "babe", babe, 350, perfect=True, seed=0, **rule)
    assert found.n == 150
    assert 0 < found.reviewed < 150
    assert found.before < found.chance < found.after
    assert (found.after - found.before) * found.n <= found.reviewed
