"""Explain: why the next call would hit or miss."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

from agent_cache._notes import Execution, last_write
from agent_cache._read_call import ReadCall
from agent_cache._wrapped import reading_of


def explain(tool: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
    """Why the call ``tool(*args, **kwargs)``, made here and now, would hit or miss, in one sentence.

    It looks, and neither runs the tool nor counts. What a framework fills in may be left out, unless ``vary`` asks for
    it. Of the past it knows the last few thousand executions of the tool, and writes.

    Raises:
        TypeError: it is no function that `AgentCache` has decorated, or the arguments do not fit.

    """
    reading = reading_of(tool)
    if reading is None:
        name = getattr(tool, "__name__", repr(tool))
        raise TypeError(f"{name} is not decorated with @AgentCache: there is nothing to explain")
    if inspect.ismethod(tool):
        args = (tool.__self__, *args)
    every, named = reading.binding.completed(args, kwargs)
    try:
        call = ReadCall(reading, every, named, tool)
    except Exception as error:  # vary's, passed on with a word on what it may have missed
        if named is not kwargs:
            error.add_note(f"what a framework gives to {reading.name} was left out: if vary= needs it, pass it")
        raise
    if call.cache is None:
        return f"miss: {call.nowhere}"
    execution = reading.executions.get(call.mark)
    if call.cache.peek(call.key) is None:
        return f"miss: {_why_missing(call, execution)}"
    if execution is None:
        return f"hit: the result of {reading.name} is kept"
    good = (
        "" if execution.ttl is None else f", good for {_seconds(execution.at + execution.ttl - time.monotonic())} more"
    )
    return f"hit: the result of {reading.name} was made {_ago(execution.at)}{good}"


def _why_missing(call: ReadCall, execution: Execution | None) -> str:
    write = last_write(call)
    if write is not None and write.ended is None:
        return f"resource {write.template} is being written by {write.tool} right now"
    if execution is None:
        return f"{call.tool} was not executed with these arguments yet"
    if write is not None and write.ended is not None and write.ended >= execution.began:
        return f"resource {write.template} was invalidated by {write.tool} {_ago(write.ended)}"
    if execution.reason is not None:
        return f"the last result, of {_ago(execution.at)}, was not kept: {execution.reason}"
    if execution.ttl is not None and execution.at + execution.ttl <= time.monotonic():
        return f"the last result expired {_ago(execution.at + execution.ttl)}"
    return (
        f"the last result, of {_ago(execution.at)}, has made room for others, or something that it was made from has "
        f"changed"
    )


def _ago(moment: float) -> str:
    return f"{_seconds(time.monotonic() - moment)} ago"


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f} s"
