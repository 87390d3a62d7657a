from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator

import hypothesis
import pytest

from cache._namespace import named_namespaces
from cache._places import configured

LOOP = os.environ.get("ASYNC_CACHE_LOOP", "asyncio")
DEBUG = os.environ.get("PYTHONASYNCIODEBUG", "") not in {"", "0"}

# A verdict must not depend on chance or on how busy the machine is: the same examples every time, and no
# deadline. The deep profile looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=2_000, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="explore far more schedules and examples (minutes)")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("deep" if config.getoption("deep") else "steady")
    # The plugin sets the debug mode of each loop itself, and so would undo what the variable asks for.
    config.option.asyncio_debug = DEBUG
    # In that mode loops say which callback has taken long, and so how busy the machine is.
    logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing <"))
    if LOOP == "uvloop":
        import uvloop  # noqa: PLC0415 - there is no uvloop on Windows

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    elif LOOP != "asyncio":
        msg = f"ASYNC_CACHE_LOOP={LOOP!r} is no known event loop: use asyncio or uvloop"
        raise pytest.UsageError(msg)


def pytest_report_header() -> str:
    return f"event loop: {LOOP}{', debug mode' if DEBUG else ''}"


@pytest.fixture(scope="session")
def deep(request: pytest.FixtureRequest) -> bool:
    """Whether this run takes its time: `pytest --deep`."""
    return bool(request.config.getoption("deep"))


@pytest.fixture(autouse=True)
def _nothing_is_shared_any_more() -> Iterator[None]:
    """What a test has shared with other processes, the tags of a namespace above all, is not shared by the next."""
    yield
    for namespace in named_namespaces():
        if namespace.share is not None:
            for tag in tuple(namespace.tags.values()):
                tag.kill()
            namespace.share = None
            namespace.left = []
            namespace.tags.clear()
            namespace.windows.clear()
            namespace.lingering.clear()
    configured.bus = configured.tier = None
