"""Krippendorff's alpha beside the krippendorff package, on the same votes in the same run.

Each measures itself in a process of its own: seconds of the call, and how far memory rose during
it above what the votes themselves take. Prints both round by round, and the median ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

LEVELS = ("nominal", "ordinal", "interval")


def votes_of(items: int, annotators: int, values: int) -> np.ndarray:
    """Return value numbers, annotators x items: right 7 times in 10, a tenth missing (-1)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, values, items)
    guess = rng.integers(0, values, (annotators, items))
    codes = np.where(rng.random((annotators, items)) < 0.7, truth, guess)
    codes[rng.random((annotators, items)) < 0.1] = -1
    return codes


def measure(name: str, level: str, sizes: tuple[int, int, int]) -> None:
    """Print the alpha, the seconds and the megabytes of one call."""
    codes, values = votes_of(*sizes), sizes[2]
    if name == "prelabel":
        from prelabel.coefficients import codes_alpha

        def call() -> float:
            return codes_alpha(codes.T, values, level, range(values))
    else:
        import krippendorff

        codes = np.where(codes < 0, np.nan, codes)

        def call() -> float:
            return float(
                krippendorff.alpha(codes, level_of_measurement=level, value_domain=range(values))
            )

    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is of making the votes
    before = memory("VmRSS")
    started = time.perf_counter()
    alpha = call()
    seconds = time.perf_counter() - started
    print(json.dumps({"alpha": alpha, "seconds": seconds, "mb": memory("VmHWM") - before}))


def memory(field: str) -> float:
    """Return a figure of this process's memory in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) / 1000


def run(name: str, level: str, sizes: tuple[int, int, int]) -> dict[str, float]:
    """Run one measurement in its own process."""
    command = [sys.executable, __file__, "--one", name, "--level", level]
    done = subprocess.run(
        [*command, "--sizes", *map(str, sizes)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure both in turn at each level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=3, default=(1_000_000, 5, 5))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", choices=LEVELS)
    parser.add_argument("--one", choices=("prelabel", "krippendorff"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    sizes = tuple(args.sizes)
    if args.one:
        measure(args.one, args.level, sizes)
        return
    print("{:,} items x {} annotators x {} values".format(*sizes))
    for level in [args.level] if args.level else LEVELS:
        ratios = {"seconds": [], "mb": []}
        for r in range(args.rounds):
            theirs, ours = (run(name, level, sizes) for name in ("krippendorff", "prelabel"))
            assert abs(theirs["alpha"] - ours["alpha"]) < 1e-9, (theirs, ours)
            for figure, found in ratios.items():
                found.append(theirs[figure] / max(ours[figure], 1e-3))
            print(
                f"{level}, round {r}: krippendorff {theirs['seconds']:.2f} s, "
                f"{theirs['mb']:.0f} MB; prelabel {ours['seconds']:.3f} s, {ours['mb']:.0f} MB"
            )
        times, memories = (statistics.median(ratios[figure]) for figure in ratios)
        print(f"{level}: {times:.0f}x faster, {memories:.0f}x less memory (medians of the ratios)")


if __name__ == "__main__":
    main()
