"""Asking: how calls from event loops, and from threads without one, are put to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cache._step import step
from cache._tier import Address, Covering, Record
from cache.tiers._redis._change import Change
from cache.tiers._redis._engine import Engine
from cache.tiers._redis._waiting import Away, Failed, Seat, Then, Told, Waiter, log
from cache.tiers._redis._work import Asked


def answer(
    engine: Engine, asked: Callable[[Waiter], Asked], otherwise: Any, unheard: Callable[[Any], object] | None = None
) -> asyncio.Future[Any]:
    """Ask, at the end of this turn; what is answered, or ``otherwise`` if nothing is any more."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    if not engine.ask(asked(Away(future, loop, engine.post, unheard)), loop):
        future.set_result(otherwise)
    return future


def answer_blocking(
    engine: Engine, asked: Callable[[Waiter], Asked], otherwise: Any, unheard: Callable[[Any], object] | None = None
) -> Any:
    """Ask, and wait for what is answered."""
    seat = Seat(unheard)
    if not engine.ask(asked(seat)):
        return otherwise
    try:
        return seat.take()
    except BaseException:  # an interrupt: it is raised again
        seat.leave()
        raise


def change(
    engine: Engine,
    kind: bytes,
    addresses: tuple[Address, ...],
    spaces: tuple[str, ...] = (),
    *,
    covering: Covering | None = None,
    then: Callable[[], object] | None = None,
    linger: float = 0.0,
    record: Record | None = None,
    lives: int = 1,
) -> asyncio.Future[Any] | None:
    """Have a change told: in an event loop a future that is done when it is; else wait for that."""
    slots = engine.layout.changed(addresses, spaces)
    mutation = bytes(8) if covering is None else covering.number.to_bytes(8, "big")
    loop = asyncio._get_running_loop()
    seat, told, away = None, None, None
    waiter: Waiter
    if loop is not None:
        told = Told(loop=loop)
        waiter = away = Away(told, loop, engine.post)
    elif step.is_mine() or engine.is_current():  # a finalizer asks, where to wait would never end
        waiter = Then(_log_failure)
    else:
        waiter = seat = Seat()
    # Before it is on its way: whatever was loaded up to now is not to be written after it.
    number = engine.ledger.ask(slots)
    asked = Change(
        kind, slots, addresses, waiter, then, mutation, linger=linger, record=record, lives=lives, number=number
    )
    if not engine.ask(asked):
        if away is not None:
            asked.waiter = Then(away.settle)
        asked.refuse(engine.error())
    if seat is not None:
        seat.take()
    return told


def _log_failure(result: Any) -> None:
    if isinstance(result, Failed):
        log(result.error)
