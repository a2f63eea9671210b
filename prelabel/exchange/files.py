"""Files opened with care: text with the line of what is wrong, replacement whole or not at all."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import os
import re
import shutil
import uuid
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from prelabel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file's bytes, unpacked if its name ends in ``.gz``.

    Raises:
        InputError: in place of every error of opening, reading or unpacking.

    """
    try:
        with _open(path) as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: not a whole gzip file ({error}); compress or fetch it again"
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from None


def read_lines(path: Path, *, encoding: str | None = None, newline: str = "") -> Iterator[str]:
    """Yield a text file's lines with their ends as they are.

    Args:
        path: the file; unpacked if its name ends in ``.gz``.
        encoding: UTF-8, with or without a byte order mark, if None.
        newline: what ends a line; the empty string for LF, CRLF and CR alike.

    Raises:
        InputError: the file cannot be read, or a line is not text in that encoding.

    """
    codec = _codec(path, encoding)
    try:
        with (
            reading(path) as stream,
            io.TextIOWrapper(stream, encoding=codec, newline=newline) as text,
        ):
            for number, line in enumerate(text, 1):
                if "\0" in line:
                    raise InputError(
                        f"{path}:{number}: has a NUL byte; remove it (if the file is UTF-16, give "
                        "encoding: utf-16)"
                    )
                yield line
    except UnicodeError:
        raise _undecodable(path, codec) from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, packed for ``.gz``, that takes the place of ``path`` when all went well.

    Raises:
        InputError: in place of every error of opening or writing; the old file is then untouched.

    """
    target = Path(os.path.realpath(path))  # a link stays a link
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with draft.open("xb") as stream:
            with _packed(path, stream) as packed:
                yield packed
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose a folder that exists "
            "and that you may write to"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if _is_gzip(path) else path.open("rb")


@contextlib.contextmanager
def _packed(path: Path, stream: BinaryIO) -> Iterator[BinaryIO]:
    if not _is_gzip(path):
        yield stream
        return
    # No time and no name inside, so that the same rows give the same bytes.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
        io.BufferedWriter(cast("Any", packed)) as buffered,
    ):
        yield buffered


def _codec(path: Path, encoding: str | None) -> str:
    try:
        name = codecs.lookup(encoding or "utf-8").name
        "".encode(name)  # hex, zip and the like are codecs too, but not of text
    except LookupError:
        raise InputError(
            f"{path}: unknown encoding {encoding!r}; use a name such as utf-8, latin-1 or cp1252"
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _undecodable(path: Path, codec: str) -> InputError:
    """Find the first byte that cannot be decoded; the reader, working in blocks, cannot say."""
    decoder = codecs.getincrementaldecoder(codec)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    line, start, byte = 1, b"", ""
    with reading(path) as stream:
        try:
            for raw in stream:
                start = start or raw[:2]
                line += newlines.decode(raw).count("\n")
            newlines.decode(b"", final=True)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(codec, "ignore")
            line += len(re.findall(r"\r\n?|\n", before))
            byte = f" (byte 0x{error.object[error.start]:02x}: {error.reason})"
        except UnicodeError as error:
            byte = f" ({error})"
    if codec != "utf-8-sig":
        return InputError(
            f"{path}:{line}: not valid {codec}{byte}; give the encoding the file was saved in"
        )
    guess = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"
    return InputError(
        f"{path}:{line}: not valid UTF-8{byte}; save the file as UTF-8, or give encoding: {guess}"
    )
