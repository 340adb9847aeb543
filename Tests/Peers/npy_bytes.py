"""NumPy files from the text of their header."""

import struct


def npy(header: str, data: bytes, version: int = 1, encoding: str = "latin1") -> bytes:
    raw = header.encode(encoding)
    size = 10 if version == 1 else 12
    raw += b" " * (-(len(raw) + 1 + size) % 64) + b"\n"
    length = struct.pack("<H", len(raw)) if version == 1 else struct.pack("<I", len(raw))
    return b"\x93NUMPY" + bytes([version, 0]) + length + raw + data
