"""Can the data file be written, who holds it, and is it on a disk that suits it?"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from adapters.database import DatabaseError, check_database, holder_of
from entrypoints.data_file import ELSEWHERE, SCHEMAS
from entrypoints.doctor.findings import Finding, fail, ok, warn

LITTLE_SPACE = 1024**3
"""Bytes."""
MOUNTS = Path("/proc/self/mounts")
"""Linux has it."""
OVER_NETWORKS = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"),
}


def check_file(part: str, path: Path) -> Iterator[Finding]:
    """`part`: of what it is the file, store or queue."""
    try:
        holder = holder_of(path)
    except OSError as error:
        yield fail(part, f"cannot use {path}: {error.strerror}", ELSEWHERE)
        return
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    written = [folder, *(each for each in (path,) if each.exists())]
    refused = [each for each in written if not os.access(each, os.W_OK)]
    if refused or not folder.is_dir():
        yield fail(
            part,
            f"{(refused or [folder])[0]} cannot be written, so neither can {path}",
            f"let this user write there, or {ELSEWHERE}",
        )
        return
    if holder is None and path.exists():
        try:
            check_database(path, SCHEMAS)
        except DatabaseError as error:
            yield fail(part, str(error), f"restore a backup (docs/sqlite.md), or {ELSEWHERE}")
            return
    state = f"is held by {holder}" if holder else "is not in use now"
    yield ok(part, f"{path} {state if path.exists() else 'is made by the first start'}")
    free = shutil.disk_usage(folder).free
    if free < LITTLE_SPACE:
        yield warn(
            part,
            f"only {free // 1024**2} MiB are free where {path} is",
            "make room: when the disk is full, no task is accepted, and running ones wait",
        )
    kind = _file_system(folder)
    if kind in OVER_NETWORKS:
        yield warn(
            part,
            f"{path} is on a network file system ({kind})",
            "set LONGTASK_DATA to a folder on a local disk, which keeps locks and flushes",
        )


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is in. Empty if it cannot be found out."""
    try:
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return ""
    whole = folder.resolve()
    # The last mount at a place hides those before it.
    at = {
        Path(place.replace("\\040", " ")): kind
        for _, place, kind, *_ in mounts
        if whole.is_relative_to(place.replace("\\040", " "))
    }
    return at[max(at, key=lambda place: len(place.parts))] if at else ""
