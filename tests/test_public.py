"""The package's outside: its names, and what importing it loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import prelabel

HEAVY = ("litellm", "instructor", "pandas", "sklearn", "scipy", "numpy", "sqlalchemy", "openai")
SOURCES = sorted(Path(prelabel.__file__).parent.rglob("*.py"))


def test_public_names_are_there_and_are_all() -> None:
    assert prelabel.__all__ == sorted(prelabel.__all__, key=lambda n: (n[0].islower(), n))
    for name in prelabel.__all__:
        assert callable(getattr(prelabel, name)), name
    assert dir(prelabel) == sorted(prelabel.__all__)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    assert not loaded_by("import prelabel") & {*HEAVY, "pydantic", "typer", "rich"}


def test_help_loads_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner\nfrom prelabel.cli import app\n"
    code += "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    code += "    assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_by(code) & set(HEAVY)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.split(".")[0], node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_one_seam_to_each_outside() -> None:
    importers = {
        name: {p.stem for p in SOURCES if name in imports_of(p)}
        for name in ("litellm", "instructor", "typer", "rich", "xllamacpp", "diskcache")
    }
    assert all(stem.startswith("cli") for stem in importers.pop("typer"))
    assert all(stem.startswith(("screen", "watch")) for stem in importers.pop("rich"))
    assert importers == {
        "litellm": {"provider"},
        "instructor": {"llm"},
        "xllamacpp": {"local"},
        "diskcache": {"cache"},
    }


def test_nothing_imports_the_command_line() -> None:
    for path in SOURCES:
        if path.stem not in ("__main__", "cli"):
            assert not imports_of(path) & {"prelabel.cli", "prelabel.watch"}, path
