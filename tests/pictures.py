"""Small pictures in each format that providers take, made by hand."""

from __future__ import annotations

import base64
import struct
import zlib

URL = "https://pictures.invalid/cat.png"


def png(width: int = 3, height: int = 2, padding: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\x7f" * 3 * width for _ in range(height if width < 99 else 1))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"tEXt", b"a\0" + b"b" * padding)
        + chunk(b"IEND", b"")
    )


def jpeg(width: int = 3, height: int = 2) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    thumbnail = b"Exif\0\0" + b"\xff\xd8\xff\xd9"  # an end that is not the picture's
    return b"".join(
        [
            b"\xff\xd8",
            b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail,
            b"\xff\xff\xc2" + struct.pack(">H", 2 + len(frame)) + frame,
            b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\xff\x00\x34" * 9,
            b"\xff\xd9",
        ]
    )


def gif(width: int = 3, height: int = 2) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    comment = b"\x21\xfe\x03abc\0"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0"
    return head + comment + frame + b"\x3b"


def webp(kind: bytes, width: int = 3, height: int = 2) -> bytes:
    sizes = {
        b"VP8 ": b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14),
        b"VP8X": b"\x10\0\0\0"
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3],
    }
    chunk = kind + struct.pack("<I", len(sizes[kind])) + sizes[kind]
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def data_url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
