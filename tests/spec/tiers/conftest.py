"""Disks that have no room, and folders that somebody else owns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for next to nothing."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if sys.platform != "linux" or os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only the administrator of a Linux system may mount a disk")
    mounted = subprocess.run(  # noqa: S603 - the command is written here
        [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("here not even the administrator may mount a disk")
    yield place
    subprocess.run([umount, str(place)], check=True)  # noqa: S603 - the command is written here


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that nobody's files keep anybody from reaching."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """To be somebody for whom permissions count."""

    @contextmanager
    def unprivileged() -> Iterator[None]:
        if sys.platform == "win32" or os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return unprivileged
