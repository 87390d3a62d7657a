"""A file on a disk, and a clock on the wall that somebody else moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cache.testing import FakeClock
from cache.tiers._file_thread import FileThread
from cache.tiers._shared_memory import SharedMemoryBus
from cache.tiers._sqlite_file import SqliteFile
from cache.tiers._stamp_file import StampFile
from tests.unit.tiers.files import Recording, let_go

MakeFile = Callable[..., SqliteFile]
MakeBus = Callable[..., SharedMemoryBus]
MakeStamps = Callable[[], StampFile]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "cache.db")


@pytest.fixture
def make_file(path: str, clock: FakeClock) -> Iterator[MakeFile]:
    """Files at the same path, of which each could be another process."""
    made: list[SqliteFile] = []

    def make_file(where: str = path, **options: Any) -> SqliteFile:
        file = Recording(where, **{"now": clock, "patience": 0.05, "boot": lambda: "monday", **options})
        made.append(file)
        return file

    yield make_file
    for file in made:
        file.close()
        let_go(file)


@pytest.fixture
def file(make_file: MakeFile) -> SqliteFile:
    return make_file()


@pytest.fixture
def make_thread() -> Iterator[Callable[[SqliteFile], FileThread]]:
    made: list[FileThread] = []

    def make_thread(file: SqliteFile) -> FileThread:
        made.append(FileThread(file))
        return made[-1]

    yield make_thread
    for thread in made:
        assert thread.close(timeout=60)


@pytest.fixture
def thread(make_thread: Callable[[SqliteFile], FileThread], file: SqliteFile) -> FileThread:
    return make_thread(file)


@pytest.fixture
def make_stamps(path: str) -> Iterator[MakeStamps]:
    """Descriptions of the file of stamps at one path, each of which could be another process."""
    made: list[StampFile] = []

    def make_stamps() -> StampFile:
        made.append(StampFile(path))
        return made[-1]

    yield make_stamps
    for file in made:
        file.close()


@pytest.fixture
def make_bus(tmp_path: Path) -> Iterator[MakeBus]:
    """Buses, of which those of one name could be in different processes."""
    made: list[SharedMemoryBus] = []

    def make_bus(name: str = "shop") -> SharedMemoryBus:
        made.append(SharedMemoryBus(name, directory=tmp_path))
        return made[-1]

    yield make_bus
    for bus in made:
        bus.close()
        thread = bus._lingering._thread
        if thread is not None:
            thread.join(60)
            assert not thread.is_alive()
