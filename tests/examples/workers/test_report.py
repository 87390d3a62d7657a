"""The third act's verdict: what it takes to have shown something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.workers.figures import Figures
from examples.workers.report import Verdict, show

SOUND = Figures(
    seconds=2.0,
    reads=1_000,
    loads=100,
    hits=900,
    misses=100,
    mutations=10,
    from_disk=0,
    missed_after=50,
    stale=0,
    dirty=0,
    oldest=0.0,
)
STALE = replace(SOUND, stale=3, oldest=0.25)
WARM = replace(SOUND, from_disk=20)


def test_it_has_shown_something_if_only_the_workers_without_a_bus_were_wrong() -> None:
    verdict = Verdict.on(STALE, SOUND, WARM)
    assert verdict.passed
    assert "3 reads of 1,000" in verdict.sentence
    assert "250.0 ms after its end" in verdict.sentence
    assert "not one of 2,000 reads was stale" in verdict.sentence
    assert "found 40%" in verdict.sentence


@pytest.mark.parametrize("wrong", [{"stale": 1}, {"dirty": 1}])
def test_one_wrong_read_on_a_bus_is_a_failure(wrong: dict[str, int]) -> None:
    for bus, disk in (
        (replace(SOUND, **wrong), WARM),
        (SOUND, replace(WARM, **wrong)),
    ):
        verdict = Verdict.on(STALE, bus, disk)
        assert not verdict.passed
        assert "async-cache has failed on a bus" in verdict.sentence
        assert "1 read " in verdict.sentence


def test_a_read_of_what_never_was_is_a_failure_also_without_a_bus() -> None:
    verdict = Verdict.on(replace(STALE, dirty=1), SOUND, WARM)
    assert not verdict.passed
    assert "async-cache has failed without a bus" in verdict.sentence


def test_a_run_in_which_nothing_was_stale_has_shown_nothing() -> None:
    verdict = Verdict.on(SOUND, SOUND, WARM)
    assert not verdict.passed
    assert "proves nothing" in verdict.sentence


@pytest.mark.parametrize("which", [0, 1, 2])
def test_neither_has_one_in_which_a_cache_answered_hardly_anything(which: int) -> None:
    passes = [STALE, SOUND, WARM]
    passes[which] = replace(passes[which], hits=9, misses=991)
    verdict = Verdict.on(*passes)
    assert not verdict.passed
    assert "0.9% of the calls" in verdict.sentence


def test_a_disk_on_which_nothing_was_found_is_a_failure() -> None:
    verdict = Verdict.on(STALE, SOUND, SOUND)
    assert not verdict.passed
    assert "nothing came from the disk" in verdict.sentence


def test_the_table_has_a_column_for_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict.on(STALE, SOUND, WARM)
    show({"no bus": STALE, "a bus": SOUND, "a bus and a disk": WARM}, verdict)
    out = capsys.readouterr().out
    rows = {line[:46].strip(): line[46:].split() for line in out.splitlines()}
    assert rows["reads per second, of all four"] == ["500", "500", "500"]
    assert rows["hit rate in memory"] == ["90.0%", "90.0%", "90.0%"]
    assert rows["of the misses after the restart, from disk"] == ["-", "-", "40.0%"]
    assert rows["stale reads"] == ["3", "0", "0"]
    assert verdict.sentence in out
