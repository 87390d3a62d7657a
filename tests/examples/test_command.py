"""The command ``python -m examples.catalogue``: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.catalogue.__main__ import main
from examples.catalogue.naive import NaiveCatalogue
from examples.command import INTERRUPTED

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-W", "error", "-m", "examples.catalogue")
SHORT = ("--seconds", "0.5")
ESCAPE = "\x1b"


def environment(**changes: str) -> Mapping[str, str]:
    """The environment without what would make the output plain."""
    return {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}} | changes


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # the command is written above
        (*COMMAND, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )


def run_on_terminal(**changes: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (*COMMAND, *SHORT),
        cwd=ROOT,
        env=environment(TERM="xterm-256color", **changes),
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end of the terminal has been closed
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
    return process.returncode, shown.decode()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    finished = run("--json", "--seed", "7", *SHORT)
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def test_the_document_says_what_was_run_and_on_what(document: dict[str, Any]) -> None:
    assert document["config"]["seconds"] == 0.5
    assert document["config"]["seed"] == 7
    assert document["config"]["handmade"] == "before"
    assert set(document["versions"]) == {"python", "sqlite", "async-cache"}


def test_ours_shows_nothing_stale_and_the_handmade_cache_does(document: dict[str, Any]) -> None:
    ours, handmade = document["passes"]["async-cache"], document["passes"]["handmade cache"]
    assert (ours["stale"], ours["dirty"], ours["stuck"]) == (0, 0, 0)
    assert handmade["stale"] > 0
    assert document["verdict"]["passed"]


def test_the_database_itself_is_never_accused(document: dict[str, Any]) -> None:
    assert document["passes"]["no cache"]["is_sound"]


def test_every_pass_reads_and_writes_and_some_of_the_writes_fail(document: dict[str, Any]) -> None:
    ends = set()
    for name, figures in document["passes"].items():
        assert figures["requests"] > 100, name
        assert figures["writes"]["done"] > 0, name
        ends |= set(figures["writes"])
    assert ends > {"done"}


def test_the_caches_answer_from_memory(document: dict[str, Any]) -> None:
    for name in ("handmade cache", "async-cache"):
        figures = document["passes"][name]
        assert figures["hits"] > 0


def test_without_a_terminal_the_output_is_plain() -> None:
    finished = run(*SHORT)
    assert finished.returncode == 0, finished.stderr
    assert ESCAPE not in finished.stdout + finished.stderr
    assert "stale reads" in finished.stdout
    assert "not one of" in finished.stdout


def test_on_a_terminal_there_are_a_table_and_colours() -> None:
    status, shown = run_on_terminal()
    assert status == 0, shown
    assert ESCAPE in shown
    assert "stale reads" in shown


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_a_terminal_may_ask_for_plain_output(variable: str) -> None:
    status, shown = run_on_terminal(**{variable: "1"})
    assert status == 0, shown
    assert ESCAPE not in shown
    assert "stale reads" in shown


def test_a_stale_read_of_ours_is_reported_and_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SHORT, ours=NaiveCatalogue) == 1
    assert "async-cache has failed" in capsys.readouterr().out


def test_a_stale_read_of_ours_is_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("--json", *SHORT), ours=NaiveCatalogue) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["verdict"]["passed"]
    assert document["passes"]["async-cache"]["stale"] > 0


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
def test_ctrl_c_ends_it_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (*COMMAND, "--seconds", "600"),
        cwd=ROOT,
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "no cache ...\n"
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == INTERRUPTED
    assert rest == "interrupted\n"
    assert list(tmp_path.iterdir()) == []
