"""What the commands of the demos have in common."""

from __future__ import annotations

import argparse
import math
import platform
import sqlite3
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

INTERRUPTED: Final = 130
"""The exit status of a command that was ended with Ctrl-C."""


def parser(demo: ModuleType, seconds: float, lasting: str) -> argparse.ArgumentParser:
    """Return what reads the options that all demos have; ``lasting`` says what the seconds are for."""
    options = argparse.ArgumentParser(prog=f"python -m {demo.__name__}", description=demo.__doc__)
    options.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    options.add_argument("--seconds", type=positive, default=seconds, help=lasting)
    options.add_argument("--seed", type=int, default=1, help="what all chance is drawn from")
    return options


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text!r}")
    return number


def versions(*packages: str) -> dict[str, str]:
    """Say on what it ran: Python, SQLite, the cache and these packages."""
    installed = {package: version(package) for package in ("async-cache", *packages)}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **installed}
