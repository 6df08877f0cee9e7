"""Keys in a JSON file that only its owner may touch; replaced as a whole, never edited in place."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from services.gateway.control.keys import Key, KeyStoreDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.gateway.control.keys import Keys


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: tuple[Key, ...]
    version: int = 1


class FileKeys:
    """The keys of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    async def fetch(self) -> Keys | None:
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        keys = self.read()
        self._seen = stamp
        return keys

    async def exists(self) -> bool:
        return self._path.exists()

    async def change(self, edit: Callable[[Keys], Keys]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            keys = edit(self.read())
            self._replace(msgspec.json.format(msgspec.json.encode(_File(keys)), indent=1) + b"\n")

    async def close(self) -> None:
        """Nothing to let go of."""

    def read(self) -> Keys:
        """The keys as they are; none where there is no file. Raises KeyStoreDown."""
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_IMODE(mode) & (stat.S_IWGRP | stat.S_IWOTH):
                    raise KeyStoreDown(f"{self._path} may be changed by others: chmod 600 {self._path}")
                return msgspec.json.decode(file.read(), type=_File).keys
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeyStoreDown(f"The keys in {self._path} cannot be read: {error}") from None

    def _replace(self, text: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Every change is a new file, hence a new inode or at least another time."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None if self._seen is None else (0, 0, 0)
        except OSError as error:
            raise KeyStoreDown(f"The keys in {self._path} cannot be read: {error}") from None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time, whoever makes it."""
        descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
