"""Start-up of the command and the import, beside `import typer, pydantic`; install size."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import typer, pydantic": [sys.executable, "-c", "import typer, pydantic"],
    "import prelabel": [sys.executable, "-c", "import prelabel"],
    "prelabel --help": [sys.executable, "-m", "prelabel", "--help"],
}


def main() -> None:
    """Run each in turn, several times."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(11):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    reference = statistics.median(seconds["import typer, pydantic"])
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        print(f"{name}: median {middle * 1000:.0f} ms, {middle / reference:.2f}x")
    packages = Path(subprocess.__file__).parent / "site-packages"
    packages = Path(sys.prefix) / "lib" / packages.parent.name / "site-packages"
    size = sum(f.stat().st_size for f in packages.rglob("*") if f.is_file() and not f.is_symlink())
    print(f"this environment: {size / 1e6:.0f} MB (of a user's: install the wheel in a fresh one)")


if __name__ == "__main__":
    main()
