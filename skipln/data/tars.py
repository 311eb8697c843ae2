"""Tars from anywhere: a header that claims to be gigabytes is refused before it is read."""

import tarfile

MAX_HEADER = 1 << 20  # bytes of a long name or of extended attributes: a path has at most 4,096
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class CarefulTarInfo(tarfile.TarInfo):
    """For `tarfile.open(…, tarinfo=CarefulTarInfo)`, which would hold such a header whole in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "CarefulTarInfo":
        """Raises tarfile.ReadError for a header of more than `MAX_HEADER` bytes."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member
