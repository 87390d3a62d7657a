"""The command ``python -m examples.machines``: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.command import INTERRUPTED
from examples.machines import __main__ as command
from examples.machines.__main__ import main
from examples.workers import crew
from tests.redis_server import need_redis

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SharedMemoryBus needs Linux")

need_redis()

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-W", "error", "-m", "examples.machines")
SHORT = ("--seconds", "4")
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def finished() -> subprocess.CompletedProcess[str]:
    # Longer: a machine may try for a second before it finds the server again, and is asked for hits after that.
    arguments = (*COMMAND, "--json", "--seed", "7", "--seconds", "9")
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
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert finished.stderr.splitlines() == ["no Redis ...", "Redis ..."]
    assert ESCAPE not in finished.stdout


def test_the_document_says_what_was_run_and_on_what(document: dict[str, Any]) -> None:
    assert document["config"]["seconds"] == 9
    assert document["config"]["seed"] == 7
    assert document["config"]["machines"] == 2
    assert document["config"]["bound"] == 1
    assert set(document["versions"]) == {"python", "sqlite", "async-cache", "redis"}


def test_only_the_machines_without_a_server_show_what_is_too_old(document: dict[str, Any]) -> None:
    sound = {name: figures["is_sound"] for name, figures in document["phases"].items()}
    assert sound == {"no Redis": False, "Redis": True, "Redis killed": True, "Redis back": True}
    assert document["verdict"]["passed"]


def test_every_phase_has_readers_and_what_they_find_where_is_told_apart(document: dict[str, Any]) -> None:
    phases = document["phases"]
    assert all(figures["reads"] > 100 for figures in phases.values())
    assert all(figures["dirty"] == 0 for figures in phases.values())
    assert phases["no Redis"]["trips"] == 0
    for name in ("Redis", "Redis back"):
        assert phases[name]["from_redis"] > 0
        assert phases[name]["trips"] > 0
        assert phases[name]["mutations"] > 0
    assert phases["Redis killed"]["refused"] > 0
    assert phases["Redis killed"]["hit_rate"] < phases["Redis"]["hit_rate"]


def test_workers_that_do_not_share_the_server_after_all_fail_the_command(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "Server", lambda *_: None)
    assert main(SHORT) == 1
    assert "async-cache has failed w" in capsys.readouterr().out
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_a_worker_that_dies_ends_the_command_and_leaves_nothing_behind(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crew, "COMMAND", ("-c", "raise SystemExit(3)"))
    assert main(("--seconds", "600")) == 1
    assert "ended with status 3 before it was ready" in capsys.readouterr().err
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@pytest.fixture
def _heeds_interrupts() -> Iterator[None]:
    """What is started in the background is told to ignore them, and so would be its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_interrupts")
def test_ctrl_c_ends_it_and_its_server_at_once_and_leaves_nothing_behind(folders: tuple[Path, Path]) -> None:
    folder, memory = folders
    program = f"import examples.machines.__main__ as it; it.MEMORY = {str(memory)!r}; raise SystemExit(it.main())"
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (sys.executable, "-W", "error", "-c", program, "--seconds", "3"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert [process.stderr.readline() for _ in range(2)] == ["no Redis ...\n", "Redis ...\n"]
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()  # which the workers and the server have open too, as long as one of them is alive
    assert process.returncode == INTERRUPTED
    assert rest == "interrupted\n"
    assert [list(each.iterdir()) for each in folders] == [[], []]


def test_without_a_server_to_start_it_is_left_out_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "is_installed", lambda: False)
    assert main(()) == 0
    assert "it needs Linux, and redis-server" in capsys.readouterr().err
