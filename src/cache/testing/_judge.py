"""What a run must not show, and how that is found out."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, NamedTuple

from ._loop import no_running_loop
from ._run import CALLBACK_LIMIT, RestlessError
from ._stage import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._actor import Actor, Read, Reader
    from ._run import Run
    from ._stage import Stage
    from ._table import Row

KINDS = {
    "stale-after": "a read that began after a mutation was over returned older than what that had committed",
    "stale-commit": "a read that began after a commit returned older than what was committed",
    "dirty": "a read outside the mutation returned what was not committed when it ended",
    "wrong": "a read returned another row than the one it was declared to be of",
    "innocents": "an actor was cancelled by nobody's choice, or ended with an error it does not expect",
    "hang": "an actor never ended, or the run never came to rest",
    "leaks": "with all quiet, tasks were still pending",
    "unhandled": "an event loop was left with an error that nobody took",
    "check": "with all quiet, a check of the scenario failed",
    "stuck": "with all quiet, a read did not return what the source holds",
    "liveness": "with all quiet, a read repeated at once loaded again",
}
"""The kinds of violation, and what each means."""


class Finding(NamedTuple):
    """A violation that a run has shown."""

    kind: str
    text: str


def judge(run: Run) -> Iterator[Finding]:
    """Play a run to its end and give what was wrong with it."""
    try:
        run.play()
    except RestlessError:
        yield Finding("hang", f"livelock: {CALLBACK_LIMIT} callbacks have run, and there is no rest")
        return
    stage = run.stage
    for read in stage.reads:
        yield from _of_read(stage, read)
    for actor in stage.actors:
        yield from _of_actor(actor)
    if unfinished := run.unfinished():
        names = ", ".join(map(str, unfinished))
        yield Finding("hang", f"deadlock: nothing can happen any more, and these have not ended: {names}")
        return
    for task in run.pending_tasks():
        yield Finding("leaks", f"task {task.get_name()!r} is still pending")
    for kind, check in tuple(stage.checks):
        try:
            with no_running_loop():
                check()
        except AssertionError as exc:
            yield Finding(kind, str(exc) or "AssertionError without a text")
    try:
        for reader in tuple(stage.readers):
            yield from _at_quiet(run, reader)
    except RestlessError:
        yield Finding("hang", f"livelock: {CALLBACK_LIMIT} callbacks have run, and there is no rest")


def _of_read(stage: Stage, read: Read) -> Iterator[Finding]:
    told = spelled(*read.call)
    for row in read.rows:
        yield from _of_identity(read, row)
        commits = stage.tables[row.source].record(row.key).commits
        missed = [
            commit
            for commit in commits
            if commit.version > row.version
            and commit.moment < read.began
            and commit.actor is not None
            and commit.actor.role in {"mutation", "call"}
        ]
        for commit in reversed(missed):
            if commit.actor is not None and 0 < commit.actor.ended < read.began:
                text = f"{told} returned {row}, but began after {commit.actor} had committed v{commit.version}"
                yield Finding("stale-after", f"{text} and was over")
                break
        if missed:
            text = f"{told} returned {row}, but began after v{missed[-1].version} was committed"
            yield Finding("stale-commit", text)
        if read.actor is not None and read.actor.role == "mutation":
            continue  # inside, what its own transaction wrote may be seen
        if all(c.version != row.version or c.moment > read.ended for c in commits):
            yield Finding("dirty", f"{told} returned {row}, which was not committed when the read ended")


def _of_identity(read: Read, row: Row) -> Iterator[Finding]:
    if isinstance(read.of, tuple):
        source, key = read.of
        if (row.source, row.key) != (source.name, key):
            text = f"{spelled(*read.call)} returned {row}, which is no row of {source.name}[{key!r}]"
            yield Finding("wrong", text)


def _of_actor(actor: Actor) -> Iterator[Finding]:
    error = actor.error
    if error is None or isinstance(error, actor.expect):
        return
    if not isinstance(error, CancelledError):
        yield Finding("innocents", f"{actor} ended with {error!r}, which it does not expect")
    elif not actor.cancelled:
        yield Finding("innocents", f"{actor} ended with {error!r}, though nobody had cancelled it")


def _at_quiet(run: Run, reader: Reader) -> Iterator[Finding]:
    """Read twice: the first read is fresh, the second a hit, if need be after a long time."""
    yield from _of_last_read(run, reader)
    loads = run.stage.loads
    yield from _of_last_read(run, reader)
    if not reader.hits or run.stage.loads == loads:
        return
    run.rest()
    yield from _of_last_read(run, reader)
    loads = run.stage.loads
    yield from _of_last_read(run, reader)
    if run.stage.loads > loads:
        yield Finding("liveness", f"{spelled(reader.fn, reader.args)} loads again at every call")


def _of_last_read(run: Run, reader: Reader) -> Iterator[Finding]:
    stage = run.stage
    actor = run.read_at_quiet(reader)
    told = spelled(reader.fn, reader.args)
    if not actor.ended:
        yield Finding("hang", f"with all quiet, {told} never ends")
    elif actor.error is not None:
        if not isinstance(actor.error, reader.expect):
            yield Finding("innocents", f"with all quiet, {told} ended with {actor.error!r}")
    else:
        read = stage.reads.pop()
        for row in read.rows:
            yield from _of_identity(read, row)
            truth = stage.tables[row.source].record(row.key).row
            if row.version != truth.version:
                yield Finding("stuck", f"with all quiet, {told} returned {row}, not v{truth.version}")
