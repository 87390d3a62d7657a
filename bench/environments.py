"""Environments: a Python of each supported version with the peers in it, made on first use.

The project itself is not installed there but read from `src`; its former version, which has the same import name, is
kept in a folder of its own. A process sees one of the two, or neither.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PINS = TOP / "bench"
SUPPORTED = ("3.11", "3.12", "3.13")


class InstallationFailed(Exception):
    """An environment could not be made; the message is what pip said."""


@dataclass(frozen=True)
class Environment:
    """One version of Python with the peers."""

    version: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def former(self) -> Path:
        """Where the former version of the project is."""
        return self.folder / "former"

    @property
    def has_references(self) -> bool:
        """Whether the reference implementations of eviction policies could be installed."""
        return (self.folder / "references").is_dir()

    def variables(self, imports: str) -> dict[str, str]:
        """The environment variables of a process that sees ``imports``: ours, former, references or none."""
        paths = {"ours": TOP / "src", "former": self.former, "references": self.folder / "references"}
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if imports in paths:
            variables["PYTHONPATH"] = str(paths[imports])
        return variables


def installed_versions() -> list[str]:
    """The supported versions of Python that can be found here, oldest first."""
    return [version for version in SUPPORTED if _find_python(version)]


def environment(version: str) -> Environment:
    """The environment of this version, made anew if the pins have changed.

    Raises:
        InstallationFailed: a package cannot be installed.

    """
    made = Environment(version, TOP / f".venv-bench-{version}")
    stamp = made.folder / "pins"
    wanted = _digest("own.txt", "peers.txt", "former.txt", "references.txt")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return made
    print(f"making {made.folder.name}", file=sys.stderr, flush=True)
    interpreter = _find_python(version)
    _run(interpreter, "-m", "venv", "--clear", str(made.folder))
    _install(made, "own.txt")
    _install(made, "peers.txt")
    _install(made, "former.txt", "--no-deps", "--target", str(made.former))
    try:
        _install(made, "references.txt", "--target", str(made.folder / "references"))
    except InstallationFailed as failure:
        print(f"without reference implementations of policies: {failure}", file=sys.stderr, flush=True)
    stamp.write_text(wanted, encoding="utf-8")
    return made


def _install(made: Environment, pins: str, *options: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(str(made.python), "-m", "pip", "install", *quiet, *options, "--requirement", str(PINS / pins))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - written here
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InstallationFailed(f"{' '.join(command)} ended with status {done.returncode}: {last}")


def _find_python(version: str) -> str:
    command = (str(TOP / "scripts" / "find-python"), version)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our script


def _digest(*names: str) -> str:
    return hashlib.sha256(b"\n".join((PINS / name).read_bytes() for name in names)).hexdigest()
