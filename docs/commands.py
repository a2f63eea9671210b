"""Write docs/commands.md from the commands' own help, or check that it says the same."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import typer

from prelabel.cli import app

PAGE = Path(__file__).with_name("commands.md")


def page() -> str:
    """Return the page: every command's help, in the order of the program's own list."""
    root = typer.main.get_command(app)
    parts = ["# Commands\n\nMade from the commands' own `--help` by `make docs`.\n"]
    for path, command in walk(root, ["prelabel"]):
        context = click.Context(command, info_name=" ".join(path), terminal_width=80)
        parts.append(f"## {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def walk(command: click.Command, path: list[str]) -> list[tuple[list[str], click.Command]]:
    """Return a command and all below it."""
    found = [(path, command)]
    for name, child in getattr(command, "commands", {}).items():
        found += walk(child, [*path, name])
    return found


if __name__ == "__main__":
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/commands.md is not what --help says; run: make docs")
