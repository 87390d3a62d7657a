"""The command ``python -m examples.workers``: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.catalogue import seed
from examples.command import INTERRUPTED
from examples.workers import __main__ as command
from examples.workers import crew
from examples.workers.__main__ import main
from examples.workers.crew import Crew
from examples.workers.worker import READY, Task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SharedMemoryBus needs Linux")

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-W", "error", "-m", "examples.workers")
SHORT = ("--seconds", "1")
ESCAPE = "\x1b"
TASK = Task("catalogue.sqlite", "log", "seed", None)


def stub(*then: str) -> tuple[str, ...]:
    """A worker that says that it is ready, and does as little."""
    return ("-c", "\n".join(("input()", f"print({READY!r}, flush=True)", "input()", *then)))


@pytest.fixture(scope="module")
def finished() -> subprocess.CompletedProcess[str]:
    arguments = (*COMMAND, "--json", "--seed", "7", *SHORT)
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # see above


@pytest.fixture(scope="module")
def document(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where temporary folders are made, and those in memory."""
    folder, memory = tmp_path / "folder", tmp_path / "memory"
    folder.mkdir()
    memory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(command, "MEMORY", str(memory))
    return folder, memory


def test_it_ends_with_0_and_says_nothing_on_standard_error_but_how_far_it_is(
    finished: subprocess.CompletedProcess[str],
) -> None:
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.splitlines() == ["no bus ...", "a bus ...", "a bus and a disk ..."]
    assert ESCAPE not in finished.stdout


def test_the_document_says_what_was_run_and_on_what(document: dict[str, Any]) -> None:
    assert document["config"]["seconds"] == 1
    assert document["config"]["seed"] == 7
    assert document["config"]["workers"] == 4
    assert set(document["versions"]) == {"python", "sqlite", "async-cache"}


def test_only_the_workers_without_a_bus_show_what_is_stale(document: dict[str, Any]) -> None:
    stale = {name: figures["stale"] for name, figures in document["passes"].items()}
    assert stale.pop("no bus") > 0
    assert stale == {"a bus": 0, "a bus and a disk": 0}
    assert document["verdict"]["passed"]


def test_every_pass_reads_and_changes_and_the_last_finds_entries_on_disk(document: dict[str, Any]) -> None:
    for name, figures in document["passes"].items():
        assert figures["reads"] > 100, name
        assert figures["mutations"] > 0, name
        assert figures["hit_rate"] > 0, name
        assert figures["dirty"] == 0, name
        assert bool(figures["from_disk"]) == (name == "a bus and a disk")


def test_workers_that_are_not_on_the_bus_after_all_fail_the_command(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "Machine", lambda *_: None)
    assert main(SHORT) == 1
    assert "async-cache has failed on a bus" in capsys.readouterr().out
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (("-c", "raise SystemExit(3)"), "ended with status 3 before it was ready"),
        (stub("raise SystemExit(3)"), "ended with status 3 in the middle of its work"),
    ],
)
def test_a_worker_that_dies_ends_the_command_and_leaves_nothing_behind(
    worker: tuple[str, ...],
    said: str,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(crew, "COMMAND", worker)
    assert main(("--seconds", "600")) == 1
    assert said in capsys.readouterr().err
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


async def test_the_last_of_a_crew_is_killed_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "COMMAND", stub("import sys", "from time import *", "sys.stdin.read()"))
    async with Crew() as only:
        began, gone = await only.work([TASK], seconds=0.001, kill=True)
        assert [starting.result().returncode for starting in only._starting] == [-signal.SIGKILL]
    assert gone > began


async def test_no_worker_outlives_its_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "COMMAND", stub("import sys", "sys.stdin.read()"))
    left = Crew()

    async def be_cancelled() -> None:
        async with left:
            await asyncio.gather(*(left._start(TASK) for _ in range(2)))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await be_cancelled()
    assert [starting.result().returncode for starting in left._starting] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon"])
def test_a_length_that_is_none_is_refused_with_its_value(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main((f"--seconds={given}",))
    assert f"must be a positive number, not '{given}'" in capsys.readouterr().err


@pytest.fixture
def _heeds_interrupts() -> Iterator[None]:
    """What is started in the background is told to ignore them, and so would be its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_interrupts")
def test_ctrl_c_ends_it_at_once_and_leaves_nothing_behind(folders: tuple[Path, Path]) -> None:
    folder, memory = folders
    program = f"import examples.workers.__main__ as it; it.MEMORY = {str(memory)!r}; raise SystemExit(it.main())"
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (sys.executable, "-W", "error", "-c", program, "--seconds", "600"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "no bus ...\n"
        assert [len(list(each.iterdir())) for each in folders] == [1, 1]
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()  # which the workers have open too, for as long as one of them is alive
    assert process.returncode == INTERRUPTED
    assert rest == "interrupted\n"
    assert [list(each.iterdir()) for each in folders] == [[], []]


@pytest.mark.parametrize(("is_working", "status"), [(False, 0), (True, 1)])
def test_a_worker_ends_when_nobody_is_left_to_stop_it(tmp_path: Path, is_working: bool, status: int) -> None:
    path = tmp_path / "catalogue.sqlite"
    seed.create(path, 1)
    task = {"database": str(path), "log": str(tmp_path / "log"), "seed": "seed", "sharing": None}
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (sys.executable, "-W", "error", *crew.COMMAND),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{READY}\n"
        if is_working:
            process.stdin.write(f"{time.monotonic() + 600}\n")
        process.stdin.close()
        assert process.wait() == status
