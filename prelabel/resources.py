"""Where the shipped prompts and evalsets are: in the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def data_folder(name: Literal["prompts", "evalsets"]) -> Path:
    """Return the folder of shipped prompts or evalsets."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
