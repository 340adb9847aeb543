"""Zip archives entry by entry; a field can contradict the data."""

import struct
import zipfile


def zip_archive(entries: list[dict], comment: bytes = b"") -> bytes:
    """A zip archive entry by entry; every field can be set against its own data.

    The time is not 0, since miniz compares the two sizes of a stored entry only when it is.
    """
    out = bytearray()
    directory = bytearray()
    for entry in entries:
        data, raw = entry["data"], entry["name"].encode()
        local = entry.get("local", raw)
        crc = entry.get("crc", zipfile.crc32(data))
        stored, size = entry.get("stored", len(data)), entry.get("size", len(data))
        method, flags = entry.get("method", 0), entry.get("flags", 0)
        sizes = entry.get("local_sizes", (stored, size))
        place = len(out)
        out += struct.pack(
            "<IHHHHHIIIHH",
            0x04034B50,
            20,
            flags,
            method,
            0x6000,
            33,
            crc,
            *sizes,
            len(local),
            len(entry.get("extra", b"")),
        )
        out += local + entry.get("extra", b"") + data
        extra = entry.get("central_extra", b"")
        directory += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, flags, method, 0x6000, 33, crc, stored, size, len(raw), len(extra), 0, 0, 0, 0, place
        )  # fmt: skip
        directory += raw + extra
    place = len(out)
    out += directory
    out += (
        struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(entries), len(entries), len(directory), place, len(comment))
        + comment
    )
    return bytes(out)
