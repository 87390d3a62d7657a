"""The demo's verdict: what it takes to have shown something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.catalogue.report import Verdict
from examples.catalogue.workload import Figures

SOUND = Figures(
    seconds=1.0,
    requests=1_000,
    loads=100,
    hits=900,
    misses=100,
    p50=1e-6,
    p99=1e-3,
    stale=0,
    dirty=0,
    oldest=0.0,
    stuck=0,
    writes={"done": 10},
)
STALE = replace(SOUND, stale=3, oldest=0.25)


def test_it_has_shown_something_if_only_the_handmade_cache_was_wrong() -> None:
    verdict = Verdict.on(STALE, "before", SOUND)
    assert verdict.passed
    assert "3 reads of 1,000" in verdict.sentence
    assert "250.0 ms after the commit" in verdict.sentence


@pytest.mark.parametrize("wrong", [{"stale": 1}, {"dirty": 1}, {"stuck": 1}])
def test_one_wrong_read_or_page_of_ours_is_a_failure(wrong: dict[str, int]) -> None:
    verdict = Verdict.on(STALE, "before", replace(SOUND, **wrong))  # type: ignore[arg-type]  # counts, all of them
    assert not verdict.passed
    assert "async-cache has failed: 1 " in verdict.sentence


def test_a_run_in_which_nothing_was_stale_has_shown_nothing() -> None:
    verdict = Verdict.on(SOUND, "around", SOUND)
    assert not verdict.passed
    assert "proves nothing" in verdict.sentence
    assert "around each write" in verdict.sentence
