"""Programs of their own, for what holds for a whole application."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import cache

HEAD = """
from __future__ import annotations
import asyncio, sys, cache
from cache import *

folder = sys.argv[1]
loads = []

def disk():
    return DiskBackend(folder + "/cache.db")

def bus(name="shop"):
    return SharedMemoryBus(name, directory=folder)

async def restarted(*functions):
    for function in functions:
        await getattr(function, "cache", function).aclose()
"""


def run(folder: Path, text: str) -> str:
    """What a program prints. ``folder`` is its own; what it needs is there by short names: see ``HEAD``."""
    path = folder / "program.py"
    path.write_text(HEAD + dedent(text))
    source = str(Path(cache.__file__).parent.parent)
    done = subprocess.run(  # noqa: S603 - the command is written here
        [sys.executable, "-W", "error", str(path), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        # In debug mode asyncio tells standard error of what takes its time.
        env={name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}
        | {"PYTHONPATH": source},
    )
    assert not done.returncode, done.stderr
    assert not done.stderr
    return done.stdout
