"""How often the 95% intervals of agreement hold the true value, by simulation.

Three annotators and two labels. Prevalence .5: all err on 10% of items. Prevalence .95: they err on
2% of the common label's items and on 20% of the rare one's. Resamples without an interval (where
nobody differs, or only one label occurs) are counted apart.
"""

from __future__ import annotations

import argparse

import numpy as np

from prelabel.chance import chance_corrected

ERRORS = {0.5: (0.1, 0.1), 0.95: (0.02, 0.2)}


def counts_of(rng: np.random.Generator, n: int, prevalence: float) -> np.ndarray:
    """Return how many of three annotators gave each of two labels."""
    truth = rng.random(n) < prevalence
    wrong = rng.random((n, 3)) < np.where(truth, *ERRORS[prevalence])[:, None]
    ones = (truth[:, None] ^ wrong).sum(axis=1)
    return np.stack([3 - ones, ones], axis=1)


def main() -> None:
    """Print a row for each prevalence and number of items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    for prevalence in ERRORS:
        rng = np.random.default_rng(1)
        true = chance_corrected(counts_of(rng, 4_000_000, prevalence))
        for n in (30, 100, 200, 500):
            held: dict[str, list[bool]] = {name: [] for name in true}
            for seed in range(args.runs):
                for name, found in chance_corrected(
                    counts_of(rng, n, prevalence), seed=seed
                ).items():
                    if found.low is not None:
                        held[name].append(found.low <= true[name].value <= found.high)
            cells = (
                f"{name} {np.mean(rows):.3f}" + (f" (of {len(rows)})" * (len(rows) < args.runs))
                for name, rows in held.items()
            )
            print(f"prevalence {prevalence}, n {n}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
