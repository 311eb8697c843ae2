"""Read tars from untrusted places: a header that claims gigabytes is refused before it is read."""

import lzma
import tarfile
import zlib

MAX_HEADER = 1 << 20  # bytes of a long name or of extended attributes; a path has at most 4,096
DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)  # what reading a damaged tar raises
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class CarefulTarInfo(tarfile.TarInfo):
    """For `tarfile.open(…, tarinfo=CarefulTarInfo)`: tarfile itself would read such a header into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "CarefulTarInfo":
        """Parse a header. Raises tarfile.ReadError for one of more than `MAX_HEADER` bytes."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member
