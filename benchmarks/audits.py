"""Audits, the drift monitor and dataset estimates, by simulation beside what people use otherwise.

`intervals`: how often the 95% interval of a stratified audit holds the true error: ours, that of
Korn and Graubard without a limit on n*, and the normal one. `drift`: false alarms in 2,000 audits,
and the median audit of the alarm, or after a change the median delay. `ppi`: how often the 90%
interval of a share holds it, and its width.
"""

from __future__ import annotations

import argparse
import time
from math import log

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from prelabel.audits import allocate, clopper_pearson, draw, stratified_error
from prelabel.dataset_estimates import ppi_mean
from prelabel.drift import Monitor, log_cusum, log_evidence_above, log_evidence_below
from prelabel.estimate import wilson
from prelabel.gold_errors import Stratum

EQUAL = (1000,) * 5
UNEVEN, TINY = (0.2, 0.005), (0.3, 0.004)
DESIGNS = {  # sizes and error rates of strata, items audited, guesses at the rates
    "even .024": (EQUAL, (0.08, 0.02, 0.01, 0.005, 0.005), 200, None),
    "even .0092": (EQUAL, (0.03, 0.008, 0.004, 0.003, 0.001), 200, None),
    "even .0044": (EQUAL, (0.015, 0.004, 0.002, 0.001, 0.0), 200, None),
    "uneven": ((200, 4800), UNEVEN, 200, UNEVEN),
    "tiny and bad": ((50, 4950), TINY, 100, TINY),
    "guessed wrong": (
        (100, 100, 100, 100, 4600),
        (0.3, 0.1, 0.1, 0.1, 0.06),
        100,
        (0.5, 0.5, 0.5, 0.5, 0.05),
    ),
}


def variance(strata: list[Stratum]) -> float:
    """Return the variance of the stratified estimate."""
    total = sum(one.size for one in strata)
    found = 0.0
    for one in strata:
        share, left = one.wrong / one.checked, 1 - one.checked / one.size
        found += (one.size / total) ** 2 * share * (1 - share) / (one.checked - 1) * left
    return found


def intervals(runs: int) -> None:
    """Print a row for each design."""
    print("95% interval of a stratified audit: coverage ours / Korn-Graubard / normal; mean")
    for name, (sizes, rates, n, guesses) in DESIGNS.items():
        rng = np.random.default_rng(1)
        bad = [round(size * rate) for size, rate in zip(sizes, rates, strict=True)]
        true = sum(bad) / sum(sizes)
        counts = allocate(sizes, n, guesses)
        held, values = np.zeros(3), []
        for _ in range(runs):
            strata = [
                Stratum(str(size), size, k, int(rng.hypergeometric(wrong, size - wrong, k)))
                for size, wrong, k in zip(sizes, bad, counts, strict=True)
            ]
            found = stratified_error(strata)
            v, e = variance(strata), found.value
            effective = e * (1 - e) / v if v > 0 else n
            low, high = clopper_pearson(e * effective, effective)
            values.append(e)
            held += [
                found.low <= true <= found.high,
                low <= true <= high,
                abs(e - true) <= ndtri(0.975) * v**0.5,
            ]
        cells = " / ".join(f"{x:.3f}" for x in held / runs)
        print(f"  {name}: error {true:.4f}, {counts}: {cells}; {np.mean(values):.4f}", flush=True)


def first(reached: np.ndarray) -> np.ndarray:
    """Return the audit at which each run alarms, inf where it does not."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def streams(runs: int, rate: object, audits: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return errors, errors so far, and audits so far."""
    errors = np.random.default_rng(seed).random((runs, audits)) < rate
    return errors, errors.cumsum(axis=1), np.broadcast_to(np.arange(1, audits + 1), errors.shape)


def drift(runs: int) -> None:
    """Print false alarms and delays of the monitor and of repeated exact tests."""
    print("error promised .05: false alarms in 2,000 audits (at most .05 for the e-process)")
    errors, k, t = streams(runs, 0.05, 2000, 1)
    naive = binom.sf(k - 1, t, 0.05) < 0.05
    change = np.array([log_cusum(row, 0.05) for row in errors])
    print(f"  e-process {np.isfinite(first(log_evidence_above(k, t, 0.05) >= log(20))).mean():.4f}")
    print(f"  exact test, each audit {naive[:, 9:].any(axis=1).mean():.3f}")
    print(f"  exact test, every 100th {naive[:, 99::100].any(axis=1).mean():.3f}")
    for c in (100, 1000):
        print(f"  e-CUSUM, c = {c}: {(change >= log(c)).any(axis=1).mean():.3f}")
    for rate, audits in ((0.08, 6000), (0.10, 3000), (0.15, 1000)):
        _, k, t = streams(runs, rate, audits, 2)
        alarm = first(log_evidence_above(k, t, 0.05) >= log(20))
        print(f"  error {rate}: median audit of the alarm {np.median(alarm):.0f}", flush=True)
    for rate in (0.01, 0.02, 0.03):
        _, k, t = streams(runs, rate, 3000, 3)
        sure = first(log_evidence_below(k, t, 0.05) >= log(10))
        print(f"  error {rate}: median audit of the certificate {np.median(sure):.0f}", flush=True)
    _, k, t = streams(runs, 0.05, 2000, 4)
    wrong = (log_evidence_below(k, t, 0.05) >= log(10)).any(axis=1).mean()
    print(f"  error .05: certified in 2,000 audits {wrong:.3f} (at most .1)")
    changed(runs)
    stratified_stream(runs)


def changed(runs: int) -> None:
    """Print the delay after a change from .03 to .12 at audit 500."""
    rates = np.where(np.arange(4000) < 500, 0.03, 0.12)
    errors, k, t = streams(runs, rates, 4000, 5)
    plain = first(log_evidence_above(k, t, 0.05) >= log(20))
    print(f"  .03, from audit 500 on .12: e-process at {np.median(plain):.0f}")
    logs = np.array([log_cusum(row, 0.05) for row in errors])
    for c in (100, 1000):
        after = first(logs[:, 500:] >= log(c))
        print(f"    e-CUSUM, c = {c}: median delay {np.median(after):.0f}", flush=True)


def stratified_stream(runs: int) -> None:
    """Print false alarms where doubtful items are drawn more often, thinned and not."""
    stratum = {f"{n}": "doubtful" if n < 500 else "sure" for n in range(5000)}
    bad = {f"{n}" for n in range(5000) if n < 125 or 500 <= n < 625}  # .05 in all
    alarms = np.zeros(2)
    for seed in range(runs // 10):
        drawn = draw(stratum, 400, {"doubtful": 0.25, "sure": 0.03}, seed=seed)
        for k, part in enumerate((drawn, [one for one in drawn if one.watched])):
            alarms[k] += Monitor(0.05).watch([one.item in bad for one in part]).by == "evidence"
    raw, thinned = alarms / (runs // 10)
    print(
        f"  error .05, doubtful drawn more: false alarm on all drawn {raw:.3f}, "
        f"on those for the monitor {thinned:.3f}"
    )


def ppi(runs: int) -> None:
    """Print coverage and width of 90% intervals of a share, of 5,000 items beside gold."""
    print("90% interval of a share: coverage (width) of PPI++ / gold alone (Wilson)")
    for n, share, right in (
        (200, 0.3, 0.85),
        (200, 0.3, 0.95),
        (50, 0.3, 0.95),
        (50, 0.05, 0.95),
        (100, 0.05, 0.95),
        (500, 0.05, 0.9),
    ):
        rng = np.random.default_rng(6)
        held, width = np.zeros(2), np.zeros(2)
        for _ in range(runs):
            y = rng.random(n + 5000) < share
            f = y ^ (rng.random(n + 5000) > right)
            found = ppi_mean(y[:n], f[:n], f[n:], level=0.9)[0]
            alone = wilson(int(y[:n].sum()), n, 0.9)
            for k, one in enumerate((found, alone)):
                held[k] += one.low <= share <= one.high
                width[k] += one.high - one.low
        cells = " / ".join(
            f"{h:.3f} ({w:.3f})" for h, w in zip(held / runs, width / runs, strict=True)
        )
        print(f"  n {n}, share {share}, labels right {right}: {cells}", flush=True)


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help="intervals, drift, ppi; default: all")
    parser.add_argument("--runs", type=int, default=2000)
    args = parser.parse_args()
    for name, run in {"intervals": intervals, "drift": drift, "ppi": ppi}.items():
        if not args.what or name in args.what:
            start = time.perf_counter()
            run(args.runs)
            print(f"  ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
