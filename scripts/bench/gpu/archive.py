"""Pack the results of a GPU session into one tar, and unpack it in a clone."""

import io
import json
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from skipln.data.tars import DAMAGED
from skipln.errors import UserError

RECORD = "gpu.json"
KEPT = ("config.yaml", "metrics.jsonl", "result.json", "status.json", "examples.npy", "translations.txt")
LARGEST = 64 << 20  # bytes per member


def pack(target: Path, record: dict[str, Any], folders: Iterable[Path]) -> None:
    """Write the record and the small files of finished runs into a gzipped tar."""
    content = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    partial = target.with_name(target.name + ".part")
    with tarfile.open(partial, "w:gz") as tar:
        member = tarfile.TarInfo(RECORD)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        for folder in folders:
            for name in KEPT:
                if (folder / name).is_file() and (folder / "result.json").is_file():
                    tar.add(folder / name, f"runs/{folder.name}/{name}", recursive=False)
    partial.rename(target)


def unpack(archive: Path, runs: Path) -> tuple[dict[str, Any], list[str]]:
    """Unpack into `runs`; return the record and the hashes of its runs. A folder that already exists stays.

    Only files that `pack` writes are unpacked. Raises UserError for anything else.
    """
    record: dict[str, Any] = {}
    found: dict[str, list[tuple[str, bytes]]] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() and member.size <= LARGEST else None
                parts = PurePosixPath(member.name).parts
                if file is not None and parts == (RECORD,):
                    record = json.loads(file.read())
                elif (
                    file is not None
                    and len(parts) == 3
                    and parts[0] == "runs"
                    and re.fullmatch(r"[0-9a-f]{12}", parts[1])
                    and parts[2] in KEPT
                ):
                    found.setdefault(parts[1], []).append((parts[2], file.read()))
                else:
                    raise UserError(f"{archive} contains {member.name!r}, which --output never writes: not unpacked")
    except (*DAMAGED, ValueError) as error:
        raise UserError(f"{archive} cannot be read as a file of --output: {error}") from error
    if not record:
        raise UserError(f"{archive} contains no {RECORD}: it is not a file of --output")
    for name, files in found.items():
        if not (runs / name / "result.json").exists():
            (runs / name).mkdir(parents=True, exist_ok=True)
            for file_name, content in sorted(files, key=lambda pair: pair[0] == "result.json"):  # the result comes last
                (runs / name / file_name).write_bytes(content)
    return record, sorted(found)
