"""Run the checks of the project, two at a time, and say what each one found.

    python scripts/check.py            every check
    python scripts/check.py mypy docs  these, and what they need

A check is a line: its outcome, its time and the last thing it said. What a failed one printed is shown in
full. The exit status is 1 if any of them failed or could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

TOP = Path(__file__).resolve().parent.parent
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED = ("3.11", "3.12", "3.13")

# The tools of this environment come first; the flags of the make that started this run, which speak of its
# own targets and job slots, are not handed on.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"} | {
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
}

AT_ONCE = 2
LIMIT = 3600.0  # seconds for one command; a test that hangs is ended much earlier
COVERAGE = "build/coverage"
FAST = ("tests/unit", "tests/spec", "tests/contract")
UNTRACED = ("tiers", "agent_cache", "test_stateful.py")
#: What the middle version runs, on the other event loop; tiers have threads and processes of their own.
ON_UVLOOP = ("tests/spec", "tests/contract", "--ignore=tests/spec/tiers")
#: The version whose run is measured, if it is there: from 3.12 on that costs next to nothing, if it is by lines.
MEASURED = "3.13"
ADAPTERS = "src/agent_cache/integrations/[a-z]*.py"
GUIDES = ("tests/docs", "tests/examples")


@dataclass(frozen=True)
class Check:
    """Commands run one after the other, until one fails, when the checks it needs have passed."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    only_by_name: bool = False


def known_checks(others: list[str]) -> list[Check]:
    """List every check, some of them on other versions of Python; the longest get their turn first."""
    return [
        Check("suite", (measured(*FAST) if MEASURED not in others else pytest(*FAST),)),
        # Without measurement: what these reach, the suite reaches too.
        Check("races", (pytest("tests/races"),)),
        Check("guides", (pytest(*GUIDES),)),
        *(Check(f"env-{version}", (make(f".venv-{version}/.stamp"),)) for version in others),
        # In debug mode each callback takes a traceback with it, and the search for examples has very many. What the
        # tiers do is done in threads and processes of theirs, and the tools of agents wait for nothing else.
        Check(
            "debug",
            (pytest("tests/spec", *(f"--ignore=tests/spec/{part}" for part in UNTRACED)),),
            environment={"PYTHONASYNCIODEBUG": "1"},
        ),
        *(on_python(version) for version in others),
        Check("mypy", (("mypy",),)),
        Check("pyright", (verify_types("cache"), ("pyright",))),
        Check(
            "docs",
            (("mkdocs", "build", "--strict"),),
            # The theme advertises its successor at every build otherwise.
            environment={"NO_MKDOCS_2_WARNING": "1"},
        ),
        Check("style", (("ruff", "check"), ("ruff", "format", "--check"))),
        Check("marks", (("python", "scripts/marks.py"),)),
        Check("imports", (("lint-imports",),)),
        Check(
            "coverage",
            (
                ("coverage", "combine", "--quiet", "--keep", COVERAGE),
                ("coverage", "report", f"--omit={ADAPTERS}"),
            ),
            needs=(f"python{MEASURED}" if MEASURED in others else "suite",),
        ),
        # In an environment that has the frameworks: what needs one, and is left out above.
        Check(
            "frameworks",
            (
                ("coverage", "run", f"--data-file={COVERAGE}/.frameworks", "-m", *pytest("tests/frameworks")[2:]),
                ("mypy", *need_frameworks()),
                verify_types("agent_cache"),
                ("coverage", "report", f"--data-file={COVERAGE}/.frameworks", f"--include={ADAPTERS}"),
            ),
            only_by_name=True,
        ),
    ]


def on_python(version: str) -> Check:
    """Return the check of another version of Python."""
    python = f".venv-{version}/bin/python"
    if version == "3.12":
        return Check(
            f"python{version}",
            (pytest(*ON_UVLOOP, python=python),),
            needs=(f"env-{version}",),
            environment={"ASYNC_CACHE_LOOP": "uvloop"},
        )
    command = measured(*FAST, python=python) if version == MEASURED else pytest(*FAST, python=python)
    return Check(f"python{version}", (command,), needs=(f"env-{version}",), environment={"COVERAGE_CORE": "sysmon"})


def measured(*arguments: str, python: str = "python") -> tuple[str, ...]:
    """Return the command that runs pytest and writes down which lines of the project were reached."""
    run = (python, "-m", "coverage", "run", f"--data-file={COVERAGE}/.coverage.suite")
    return (*run, "-m", *pytest(*arguments)[2:])


def need_frameworks() -> list[str]:
    """Return the files that only an environment with the frameworks can check."""
    patterns = (ADAPTERS, "tests/frameworks/**/*.py", "examples/agents/*.py", "examples/agent_shop/*.py")
    return sorted(str(path.relative_to(TOP)) for pattern in patterns for path in TOP.glob(pattern))


def verify_types(package: str) -> tuple[str, ...]:
    """Return the command that checks that every public name of a package has a type."""
    return ("pyright", "--verifytypes", package, "--ignoreexternal")


def pytest(*arguments: str, python: str = "python") -> tuple[str, ...]:
    """Return the command that runs pytest."""
    return (python, "-m", "pytest", "--quiet", *arguments)


def make(target: str) -> tuple[str, ...]:
    """Return the command that makes a target of the Makefile."""
    return ("make", "--no-print-directory", target)


def is_installed(version: str) -> bool:
    """Tell whether this Python can be had here."""
    search = subprocess.run([TOP / "scripts/find-python", version], stdout=subprocess.DEVNULL, check=False)
    return search.returncode == 0


def selected(checks: list[Check], names: list[str]) -> list[Check]:
    """Return the checks named, with all that they need, in the order of the list; all but some if none is named."""
    by_name = {check.name: check for check in checks}
    wanted = names or [check.name for check in checks if not check.only_by_name]
    for name in wanted:
        if name not in by_name:
            sys.exit(f"there is no check {name!r} here; there are: {', '.join(by_name)}")
        wanted += (need for need in by_name[name].needs if need not in wanted)
    return [check for check in checks if check.name in wanted]


class Run:
    """One run of some checks: who waits for whom, and how many may work at once."""

    def __init__(self, checks: list[Check]) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._width = max(len(check.name) for check in checks)
        self._checks = checks
        self._tasks: dict[str, asyncio.Task[bool]] = {}

    async def passed(self) -> list[bool]:
        """Run the checks; return which passed."""
        async with asyncio.TaskGroup() as group:
            for check in self._checks:
                self._tasks[check.name] = group.create_task(self._passes(check), name=check.name)
        return [task.result() for task in self._tasks.values()]

    async def _passes(self, check: Check) -> bool:
        # A task starts after all of them were made, so what a check needs is always there to wait for.
        failed = [need for need in check.needs if not await self._tasks[need]]
        if failed:
            self._tell(check, "cannot", 0, f"run without: {', '.join(failed)}")
            return False
        async with self._slots:
            began = time.monotonic()
            status, output = await run(check)
            seconds = time.monotonic() - began
        self._tell(check, "FAILED" if status else "ok", seconds, verdict(output))
        if status:
            print(f"\n{output.strip()}\n", flush=True)
        return status == 0

    def _tell(self, check: Check, outcome: str, seconds: float, said: str) -> None:
        print(f"{outcome:<6}  {check.name:<{self._width}}  {seconds:6.1f} s  {said}", flush=True)


async def run(check: Check) -> tuple[int, str]:
    """Return the status of the command that failed, or 0, and what the commands printed."""
    printed = ""
    for command in check.commands:
        with TemporaryFile() as output:
            status = await run_command(command, check.environment, output)
            output.seek(0)
            printed += output.read().decode(errors="replace")
        if status:
            ended = f"ended with exit status {status}" if status > 0 else f"was ended by signal {-status}"
            return status, f"{printed}\n{' '.join(command)}\n{ended}"
    return 0, printed


async def run_command(command: tuple[str, ...], environment: dict[str, str], output: IO[bytes]) -> int:
    """Return the exit status of a command; none of its processes outlives the call."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=TOP,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LIMIT):
            return await process.wait()
    except TimeoutError:
        output.write(f"\nno end after {LIMIT:.0f} s\n".encode())
        return -signal.SIGKILL
    finally:
        # Ended, hung or interrupted: whatever it started in its session goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def verdict(output: str) -> str:
    """Return the last line printed, which is where tools say what they found."""
    lines = [line.strip("= ") for line in output.splitlines()]
    return " ".join(next((line for line in reversed(lines) if line), "").split())


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Run the checks of the project.")
    parser.add_argument("names", nargs="*", metavar="CHECK", help="the checks to run; all if none is given")
    names = parser.parse_args().names

    began = time.monotonic()
    others = [version for version in SUPPORTED if version != OWN]
    missing = [version for version in others if not is_installed(version)]
    if missing:
        print(f"not installed here, so not tested on: Python {', '.join(missing)}", flush=True)
    checks = selected(known_checks([version for version in others if version not in missing]), names)
    (TOP / COVERAGE).mkdir(parents=True, exist_ok=True)
    try:
        passed = asyncio.run(Run(checks).passed())
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"checks: {passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
