"""What a review is worth: quality before and after, beside as many reviews of random items.

    python benchmarks/review_value.py [DRAWS]

BABE's sentences (public data beside the repository), labeled by five recorded LLMs. Each draw takes
400 random sentences as gold, fits a rule that promises that at most 10 % of all items are accepted
and wrong (delta .1), and lets people decide the rest through the review's own queue and store.
"one expert" answers with the label of one of the experts who labeled the sentence, drawn at random;
"gold" with the label that quality is measured against, as if people never erred. Intervals are
Student's, over the draws; all draw from the same sentences.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import t

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from babe_review import read_babe, review_babe  # noqa: E402

DATA = HERE.parents[2] / "shared" / "data" / "llm_vs_human" / "babe_llm"
RULE = {"promise": "dataset", "target": 0.1, "delta": 0.1}
GOLD = 400


def interval(values: list[float], digits: str = ".4f") -> str:
    """Return the mean over draws with its interval."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return f"{mean:{digits}} (one draw: no interval)"
    half = t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5
    return f"{mean:{digits}} [{mean - half:{digits}}, {mean + half:{digits}}]"


def main() -> None:
    """Print a line for each draw, and the means."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    babe = read_babe(DATA)
    print(f"{len(babe.texts)} sentences, {GOLD} of them gold; seeds 0 to {draws - 1}")
    for name, perfect in (("one expert", False), ("gold", True)):
        found = []
        for seed in range(draws):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "babe"
                one = review_babe(folder, babe, GOLD, perfect=perfect, seed=seed, **RULE)
            found.append(one)
            print(
                f"{name}, seed {seed}: {one.reviewed} of {one.n} reviewed; quality "
                f"{one.before:.4f} before, {one.after:.4f} after, {one.chance:.4f} at random",
                flush=True,
            )
        print(f"{name}, mean of {draws} draws:")
        print(f"  reviewed            {interval([one.reviewed for one in found], '.0f')}")
        print(f"  quality before      {interval([one.before for one in found])}")
        print(f"  after the review    {interval([one.after for one in found])}")
        print(f"  as many at random   {interval([one.chance for one in found])}")
        print(f"  routed over random  {interval([one.after - one.chance for one in found])}")


if __name__ == "__main__":
    main()
