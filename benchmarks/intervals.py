"""Coverage of the intervals: how often a 95% interval holds the truth, by simulation.

Two labels. A prevalence is the share of the commoner label, and for accuracy the accuracy itself.
Annotators give the right label with probability sqrt(agreement) and else one at random by the same
shares, so that chance-corrected agreement is the same at every prevalence and its truth is known.
"No interval" is the share of runs for which none was given (and a reason instead); coverage and
width are of the others. Compare with .95: over 500 runs one standard error is .01, over 1,000 .007.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from prelabel.coefficients import alpha_statistic, cohen_kappa
from prelabel.estimate import Estimate, bootstrap, wilson
from prelabel.nominal import Truth, measure
from prelabel.paired import tango
from prelabel.paired_metrics import macro_f1, metric_difference

SIZES = (30, 100, 500)
PREVALENCES = (0.5, 0.95)
COPIES, WORSE = 0.8, 0.65  # chance to take over the item's label: of most, and of a worse annotator
F1 = macro_f1(2)

Run = Callable[[np.random.Generator, int, float], tuple[Estimate, float]]


def labeled(rng: np.random.Generator, n: int, share: float, *copies: float) -> list[np.ndarray]:
    """Return gold's labels (1 is the commoner) and those of annotators who copy or guess."""
    gold = (rng.random(n) < share).astype(np.int64)
    guesses = [(rng.random(n) < share).astype(np.int64) for _ in copies]
    given = [
        np.where(rng.random(n) < p, gold, guess) for p, guess in zip(copies, guesses, strict=True)
    ]
    return [gold, *given]


def true_macro_f1(share: float, copies: float) -> float:
    """Return macro F1 over endlessly many items: gold and the annotator have the same shares."""
    return float(np.mean([copies + (1 - copies) * p for p in (share, 1 - share)]))


def accuracy(rng: np.random.Generator, n: int, share: float) -> tuple[Estimate, float]:
    """Wilson's interval of a share of right labels."""
    return wilson(int(rng.binomial(n, share)), n), share


def paired(rng: np.random.Generator, n: int, share: float) -> tuple[Estimate, float]:
    """Tango's interval of the difference of two annotators' accuracies."""
    gold, a, b = labeled(rng, n, share, COPIES, WORSE)
    one, two = int(((a == gold) & (b != gold)).sum()), int(((a != gold) & (b == gold)).sum())
    return tango(one, two, n), (COPIES - WORSE) * 2 * share * (1 - share)


def pair_kappa(rng: np.random.Generator, n: int, share: float) -> tuple[Estimate, float]:
    """The asymptotic interval of Cohen's kappa of two annotators."""
    _, a, b = labeled(rng, n, share, COPIES, COPIES)
    return cohen_kappa(a, b), COPIES**2


def against_gold(
    rng: np.random.Generator, n: int, share: float, *, figure: str
) -> tuple[Estimate, float]:
    """Kappa or macro F1 against gold, as ``score`` gives it."""
    gold, given = labeled(rng, n, share, COPIES)
    truth = Truth(pd.Index([]), pd.Index([""]), gold[:, None], ("b", "a"), multi=False)
    found = measure(
        gold[:, None], given[:, None], truth, nothing="", seed=int(rng.integers(1 << 30))
    )
    return found.metrics[figure], COPIES if figure == "cohen_kappa" else true_macro_f1(
        share, COPIES
    )


def alpha(rng: np.random.Generator, n: int, share: float) -> tuple[Estimate, float]:
    """Nominal alpha of three annotators."""
    _, *given = labeled(rng, n, share, COPIES, COPIES, COPIES)
    ones, sizes = np.unique(np.sum(given, axis=0), return_counts=True)
    counts = csr_array(np.stack([3 - ones, ones], axis=1).astype(float))
    return bootstrap(alpha_statistic(counts), sizes, seed=int(rng.integers(1 << 30))), COPIES**2


def f1_difference(rng: np.random.Generator, n: int, share: float) -> tuple[Estimate, float]:
    """The difference of two annotators' macro F1, items resampled for both."""
    gold, a, b = labeled(rng, n, share, COPIES, WORSE)
    rows = (np.stack([gold, given], axis=1).astype(float) for given in (a, b))
    found = metric_difference(F1, *rows, resamples=1000, seed=int(rng.integers(1 << 30)))
    return found, true_macro_f1(share, COPIES) - true_macro_f1(share, WORSE)


METHODS: dict[str, Run] = {
    "accuracy: Wilson": accuracy,
    "difference of accuracies: Tango": paired,
    "kappa of a pair: asymptotic": pair_kappa,
    "kappa against gold: bootstrap": partial(against_gold, figure="cohen_kappa"),
    "alpha, 3 annotators: bootstrap": alpha,
    "macro F1: bootstrap": partial(against_gold, figure="macro_f1"),
    "macro F1 difference: bootstrap": f1_difference,
}


def coverage(run: Run, n: int, share: float, runs: int, seed: int) -> dict[str, float | None]:
    """Return how often the interval holds the truth, its mean width, how often there is none."""
    rng = np.random.default_rng([seed, n, int(share * 100)])
    inside, widths = [], []
    for _ in range(runs):
        found, truth = run(rng, n, share)
        if found.low is not None and found.high is not None:
            inside.append(found.low - 1e-12 <= truth <= found.high + 1e-12)
            widths.append(found.high - found.low)
    return {
        "coverage": float(np.mean(inside)) if inside else None,
        "width": float(np.mean(widths)) if widths else None,
        "none": 1 - len(inside) / runs,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started, rows = time.perf_counter(), []
    if not args.json:
        print(f"{'interval':34}{'prevalence':>11}{'n':>6}{'coverage':>10}{'width':>8}{'none':>7}")
    for name, run in METHODS.items():
        for share in PREVALENCES:
            for n in SIZES:
                row = coverage(run, n, share, args.runs, args.seed)
                rows.append({"interval": name, "prevalence": share, "n": n} | row)
                if not args.json:
                    shown = [" n/a" if x is None else f"{x:.3f}" for x in row.values()]
                    print(f"{name:34}{share:>11}{n:>6}{shown[0]:>10}{shown[1]:>8}{shown[2]:>7}")
    if args.json:
        print(json.dumps({"runs": args.runs, "rows": rows}, indent=2))
    else:
        print(f"{args.runs} runs each, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
