"""What the command line shows of confidences and their calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prelabel.screen import as_json, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.calibrating import Calibration, CalibrationReport
    from prelabel.calibration_scores import BinnedError


def calibration(report: CalibrationReport, *, details: bool, json: bool) -> None:
    """Print how far confidences can be trusted, raw and calibrated."""
    if json:
        as_json(report.to_dict())
        return
    part = f", split {report.split}" if report.split else ""
    out.print(f"confidence against {report.gold} gold items{part}: value [95% interval]")
    out.print()
    for one in report.confidences:
        table(["", "as it comes", "calibrated, held out"], _rows(one), title=_title(one))
        if details:
            reliability(one)
    undefined = [
        f"{one.name}: AUROC is not defined: {one.order.auroc.why}"
        for one in report.confidences
        if one.order.auroc.value is None
    ]
    own = [f"{one.name}: {note}" for one in report.confidences for note in one.notes]
    notes([*report.notes, *own, *undefined])


def _title(one: Calibration) -> str:
    return f"{one.name}, {one.n} items, accuracy {short(one.accuracy)}"


def _how(one: Calibration) -> str:
    calibrator = one.calibrator
    how = f"{calibrator['method']}, slope {calibrator['slope']:.2f}"
    return how + (f" {calibrator['intercept']:+.2f}" if calibrator["method"] == "platt" else "")


def _rows(one: Calibration) -> list[tuple[str, str, str]]:
    raw, after, order = one.raw, one.calibrated, one.order
    return [
        ("calibrator", "", _how(one)),
        ("log-loss", short(raw.log_loss), short(after.log_loss)),
        ("log-loss gained", "", short(one.gain)),
        ("Brier", short(raw.brier), short(after.brier)),
        ("Brier skill", short(raw.brier_skill), short(after.brier_skill)),
        ("overconfidence", short(raw.overconfidence), short(after.overconfidence)),
        ("ECE", digits(raw.ece.value), digits(after.ece.value)),
        ("  by chance alone", by_chance(raw.ece), by_chance(after.ece)),
        ("AUROC", short(order.auroc), "same order"),
        ("AURC", short(order.aurc), ""),
        ("AUGRC", short(order.augrc), ""),
    ]


def digits(value: float | None) -> str:
    """Write a number that may be missing."""
    return "n/a" if value is None else f"{value:.3f}"


def by_chance(ece: BinnedError) -> str:
    """Write the calibration error of perfect confidences on so many items, with its band."""
    return "" if ece.value is None else f"{ece.chance:.3f} [{ece.low:.3f}, {ece.high:.3f}]"


def reliability(one: Calibration) -> None:
    """Print what is said and what is right, in rows of about as many items."""
    rows = [
        (
            f"{row.low:.3f} to {row.high:.3f}",
            row.n,
            f"{row.confidence:.3f}",
            "" if row.calibrated is None else f"{row.calibrated:.3f}",
            short(row.right),
        )
        for row in one.reliability
    ]
    table(["confidence", "items", "mean", "calibrated", "share right"], rows)
