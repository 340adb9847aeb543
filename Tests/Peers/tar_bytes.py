"""Tar archives byte by byte; a field can be spelled in any way."""


def checksum(block: bytearray, spelled: bytes | None = None) -> bytes:
    """Fills in a tar header's checksum; `spelled` is a pattern with %o."""
    block[148:156] = b" " * 8
    total = sum(block)
    block[148:156] = (spelled or b"%06o\0 ") % total
    return bytes(block)


def tar_header(member: bytes, size: int, kind: bytes = b"0", spelled=None, size_text=None, ustar=False) -> bytes:
    block = bytearray(512)
    block[: len(member)] = member
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    field = size_text if size_text is not None else b"%011o\0" % size
    block[124 : 124 + len(field)] = field
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    if ustar:
        block[257:265] = b"ustar\x0000"
    return checksum(block, spelled)


def tar_member(member: bytes, data: bytes, **options) -> bytes:
    return tar_header(member, len(data), **options) + data + bytes(-len(data) % 512)
