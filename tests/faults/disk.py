"""The disk that the data file is on: it can be full, and the file can become read-only.

As root, on a machine that allows it, it is a small file system of its own (ext4 in a file), which a
filler fills. What is in that file is what a power cut leaves. Elsewhere the process gets a limit on
the size of its files (RLIMIT_FSIZE): a write beyond it fails, as it does on a full disk.
"""

import contextlib
import errno
import math
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEBIBYTES = 64
_ROOM_FOR_LOG = 64 * 1024


class Disk:
    def __init__(self, folder: Path, name: str) -> None:
        """`name` of the file in the folder, which is made."""
        self.folder = folder
        self.file = folder / name
        self._device = folder.with_suffix(".img")
        self._mounted = False
        self.hindered_until = -math.inf
        """When it was full, or the file read-only, for the last time (monotonic)."""

    @contextmanager
    def running(self) -> Iterator[None]:
        self.folder.mkdir()
        self._mounted = self._make() and _mount(self._device, self.folder)
        try:
            yield
        finally:
            self.make_writable()
            if self._mounted:
                _unmount(self.folder)
            self._device.unlink(missing_ok=True)

    def fill(self, pid: int, log: Path) -> None:
        """Leave no room, until `free`. `pid` is the process that writes, and `log` the file that it
        logs to."""
        self.hindered_until = math.inf
        if self._mounted:
            with (self.folder / "filler").open("wb", 0) as filler:
                try:
                    while True:
                        filler.write(bytes(4096))
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017
            return
        written = self.file.with_name(self.file.name + "-wal").stat().st_size
        _limit(pid, max(written, log.stat().st_size + _ROOM_FOR_LOG))

    def free(self, pid: int | None) -> None:
        if self._mounted:
            (self.folder / "filler").unlink()
        elif pid is not None:
            _limit(pid, resource.RLIM_INFINITY)
        self.hindered_until = time.monotonic()

    def make_read_only(self) -> bool:
        """Make the file read-only until `make_writable`; return whether that is possible. For root
        it is by an attribute of the file, which counts for files that are open too. For others the
        mode counts at the next start."""
        self.hindered_until = math.inf
        if os.geteuid() != 0:
            self._change_mode(0o400)
            return True
        if not _done("chattr", "+i", *self._files()):
            self.make_writable()
            return False
        return True

    def make_writable(self) -> None:
        if os.geteuid() != 0:
            self._change_mode(0o600)
        elif files := self._files():
            _done("chattr", "-i", *files)
        self.hindered_until = time.monotonic()

    @contextmanager
    def after_power_cut(self) -> Iterator[Path | None]:
        """Yield the file as a power cut would leave it now: what was flushed, and what happens to
        be written. None if that cannot be known. The process that writes it must stand still."""
        if not self._mounted:
            yield None
            return
        folder, device = self.folder.with_suffix(".cut"), self.folder.with_suffix(".cut.img")
        # The system may be writing now: what was copied counts once it stays the same.
        while not _done("cmp", str(self._device), str(device)):
            shutil.copyfile(self._device, device)
        folder.mkdir()
        try:
            yield folder / self.file.name if _mount(device, folder) else None
        finally:
            _unmount(folder)
            folder.rmdir()
            device.unlink()

    def _files(self) -> list[str]:
        names = (self.file.name, f"{self.file.name}-wal")
        return [str(each) for name in names if (each := self.folder / name).exists()]

    def _change_mode(self, mode: int) -> None:
        for each in self._files():
            Path(each).chmod(mode)

    def _make(self) -> bool:
        if os.geteuid() != 0:
            return False
        with self._device.open("wb") as file:
            file.truncate(MEBIBYTES * 1024 * 1024)
        return _done("mkfs.ext4", "-q", "-m", "0", str(self._device))


def _mount(device: Path, folder: Path) -> bool:
    return _done("mount", "-o", "loop", str(device), str(folder))


def _unmount(folder: Path) -> None:
    _done("umount", "--lazy", str(folder))


def _limit(pid: int, size: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def _done(*words: str) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603
    return False
