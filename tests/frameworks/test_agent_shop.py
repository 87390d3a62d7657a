"""The demo's second act: its tools on pydantic-ai, and the command ``python -m examples.agent_shop``."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic_ai import RunContext, RunUsage, Tool
from pydantic_ai.models.test import TestModel

from agent_cache import AgentCacheSession
from cache import mutating
from examples.agent_shop import naive, ours, shopper, uncached
from examples.agent_shop.__main__ import main
from examples.agent_shop.answers import Cart, CartLine, Findings, Found, Offer, Orders, Receipt
from examples.agent_shop.shop import Shop
from examples.agent_shop.toolbox import Toolbox, Visit
from examples.agent_shop.workload import Variant, agent_with
from examples.command import INTERRUPTED

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-W", "error", "-m", "examples.agent_shop")
SHORT = ("--seconds", "0.5")
ESCAPE = "\x1b"
A = TypeVar("A")
ALICE, BOB = (RunContext(deps=Visit(number), model=TestModel(), usage=RunUsage()) for number in (1, 2))
LAMP = 7


class SteeredShop(Shop):
    """A shop with one product, whose rows are read at once, and shown when ``gate`` is opened."""

    def __init__(self) -> None:
        self.prices = self.stock = self.carts = self.bought = 0
        self.executed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def offer(self, product_id: int) -> Offer:
        return await self._show("offer", Offer(product_id, "lamp", 100, 1, self.prices, self.stock))

    async def cart(self, customer_id: int) -> Cart:
        offer = Offer(LAMP, "lamp", 100, 1, self.prices, self.stock)
        return await self._show("cart", Cart(customer_id, self.carts, [CartLine(LAMP, 1, 100, offer.price_version)]))

    async def orders(self, customer_id: int) -> Orders:
        return await self._show("orders", Orders(customer_id, self.bought, 0, 0))

    async def add(self, customer_id: int, product_id: int, quantity: int) -> None:
        self.carts += 1

    async def check_out(self, customer_id: int, product_ids: Any, cents: int) -> Any:
        self.stock += 1
        self.carts += 1
        self.bought += 1

    async def reprice(self, product_id: int, cents: int) -> None:
        self.prices += 1

    async def restock(self, product_id: int, quantity: int) -> None:
        self.stock += 1

    async def _show(self, what: str, answer: A) -> A:
        self.executed.append(what)
        await self.gate.wait()
        return answer


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("make", [ours.tools_of, lambda shop: naive.cached(uncached.tools_of(shop))])
def test_the_model_sees_the_same_tools_whatever_they_are_cached_with(make: Callable[[Shop], Toolbox]) -> None:
    def seen(tools: Toolbox) -> dict[str, Any]:
        definitions = [Tool(tool).tool_def for tool in tools.of_agents]
        return {definition.name: definition.parameters_json_schema for definition in definitions}

    shop = SteeredShop()
    assert seen(make(shop)) == seen(uncached.tools_of(shop))


async def test_ours_does_not_keep_a_cart_that_a_write_has_overtaken() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    shop.gate.clear()
    read = asyncio.create_task(tools.read_cart(ALICE))
    await turns()
    await tools.add_to_cart(ALICE, LAMP, 1)
    shop.gate.set()
    await read
    assert (await tools.read_cart(ALICE)).version == 1


async def test_a_new_price_reaches_the_product_and_every_cart_with_it() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    await tools.look_at(LAMP)
    await tools.read_cart(ALICE)
    await tools.read_cart(BOB)
    await tools.reprice(LAMP, 200)
    assert (await tools.look_at(LAMP)).price_version == 1
    for ctx in (ALICE, BOB):
        assert (await tools.read_cart(ctx)).lines[0].price_version == 1


async def test_a_customer_is_answered_from_memory_and_never_with_the_cart_of_another() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    assert (await tools.read_cart(ALICE)).customer_id == 1
    assert (await tools.read_cart(BOB)).customer_id == 2
    await tools.add_to_cart(BOB, LAMP, 1)
    shop.executed.clear()
    await tools.read_cart(ALICE)
    assert shop.executed == []
    await tools.read_cart(BOB)
    assert shop.executed == ["cart"]


async def test_a_check_out_reaches_cart_orders_and_stock_in_every_conversation() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    async with AgentCacheSession():
        await tools.look_at(LAMP)
        await tools.read_cart(ALICE)
        await tools.read_orders(ALICE)
        async with AgentCacheSession():
            await tools.check_out(ALICE, [LAMP], 100)
        assert (await tools.look_at(LAMP)).stock_version == 1
        assert (await tools.read_cart(ALICE)).version == 1
        assert (await tools.read_orders(ALICE)).version == 1


async def test_orders_are_kept_for_one_conversation() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    for _ in range(2):
        async with AgentCacheSession():
            await tools.read_orders(ALICE)
            await tools.read_orders(ALICE)
    assert shop.executed == ["orders"] * 2


async def test_restocking_reaches_what_shows_the_stock() -> None:
    shop = SteeredShop()
    tools = ours.tools_of(shop)
    await tools.look_at(LAMP)
    await tools.restock(LAMP, 1)
    assert (await tools.look_at(LAMP)).stock_version == 1


# -- the script ------------------------------------------------------------------------------------------------


class GrudgingShop(SteeredShop):
    """A shop that refuses so many check-outs before it takes one; what it has was all bought by somebody else."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def search(self, word: str) -> Findings:
        return Findings(word, [Found(LAMP, word, 100, 0)])

    async def change(self, customer_id: int, product_id: int, quantity: int) -> None:
        self.carts += 1

    async def check_out(self, customer_id: int, product_ids: Any, cents: int) -> Receipt:
        self.executed.append("check_out")
        self.refusals -= 1
        return Receipt(ordered=self.refusals < 0, message="")


@pytest.mark.parametrize(("refusals", "attempts"), [(0, 1), (1, 2), (2, 3), (9, shopper.PATIENCE)])
async def test_the_shopper_reads_again_and_retries_what_is_refused_but_not_for_ever(
    refusals: int, attempts: int
) -> None:
    shop = GrudgingShop(refusals)
    agent = agent_with(uncached.tools_of(shop), shopper.shop)
    result = await agent.run(shopper.prompt({"lamp": 1}, limit=50), deps=Visit(1))
    assert result.output == "done"
    tried = [what for what in shop.executed if what in {"check_out", "cart"}]
    assert tried[-2 * attempts :] == ["check_out", "cart"] * attempts
    assert tried.count("check_out") == attempts


# -- the command -----------------------------------------------------------------------------------------------


def environment(**changes: str) -> Mapping[str, str]:
    """The environment without what would make the output plain, or hide the framework's banner."""
    hidden = {"CI", "NO_COLOR", "PYTEST_VERSION"}
    return {name: value for name, value in os.environ.items() if name not in hidden} | changes


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # the command is written above
        (*COMMAND, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    finished = run("--json", "--seed", "7", "--price", "0.01", *SHORT)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def test_the_document_says_what_was_run_on_what_and_what_was_simulated(document: dict[str, Any]) -> None:
    config = document["config"]
    assert (config["seconds"], config["seed"], config["price"], config["handmade"]) == (0.5, 7, 0.01, "before")
    assert set(config["simulated"]) == {"way", "service"}
    assert set(document["versions"]) == {"python", "sqlite", "async-cache", "pydantic-ai-slim"}


def test_ours_answers_nothing_stale_and_the_handmade_cache_does(document: dict[str, Any]) -> None:
    passes = document["passes"]
    assert (passes["agent_cache"]["stale"], passes["agent_cache"]["dirty"]) == (0, 0)
    assert passes["handmade cache"]["stale"] > 0
    assert passes["no cache"]["is_sound"]
    assert document["verdict"]["passed"]


def test_every_pass_has_the_same_conversations_and_everybody_at_work(document: dict[str, Any]) -> None:
    passes = document["passes"].values()
    assert len({figures["conversations"] for figures in passes}) == 1
    for figures in passes:
        assert figures["conversations"] > 0
        assert figures["orders"] > 0
        assert figures["calls"] > figures["turns"] > figures["conversations"]


def test_without_a_cache_every_call_is_executed_and_with_one_that_is_saved(document: dict[str, Any]) -> None:
    without, cached = document["passes"]["no cache"], document["passes"]["agent_cache"]
    assert without["executions"] == without["calls"]
    assert without["hit_rate"] == without["saved"] == 0
    assert cached["executions"] < cached["calls"]
    assert cached["saved"] == pytest.approx((without["executions"] - cached["executions"]) * 0.01)


def test_the_agent_that_goes_round_in_circles_is_stopped_at_the_fifth_call(document: dict[str, Any]) -> None:
    unwatched, watched = document["circles"]["unwatched"], document["circles"]["watched"]
    assert (unwatched["ended"], watched["ended"]) == ("UsageLimitExceeded", "AgentLoopDetectedError")
    assert (unwatched["calls"], watched["calls"]) == (50, 5)
    assert watched["executions"] == 1


def test_no_agent_that_gets_somewhere_is_stopped(document: dict[str, Any]) -> None:
    assert document["passes"]["agent_cache"]["stopped"] == 0


def test_on_a_terminal_there_are_a_table_and_colours() -> None:
    mine, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603  # the command is written above
        (*COMMAND, *SHORT), cwd=ROOT, env=environment(TERM="xterm-256color"), stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(partial(_read, mine), b""))
        os.close(mine)
    assert process.returncode == 0, shown.decode()
    assert ESCAPE in shown.decode()
    assert "stale answers" in shown.decode()
    assert "observability" not in shown.decode(), "the framework's banner stands in the output"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end of the terminal has been closed
        return b""


def test_ours_without_its_windows_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def invalidate_before(*targets: Any, **options: Any) -> AsyncIterator[None]:
        async with mutating(*targets, **options):
            pass
        yield

    monkeypatch.setattr("agent_cache._writing.mutating", invalidate_before)
    assert main(("--json", *SHORT)) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["passes"]["agent_cache"]["stale"] > 0
    assert "agent_cache has failed" in document["verdict"]["sentence"]


def test_a_loop_that_nobody_stops_fails_the_command_which_without_a_terminal_says_so_plainly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(SHORT, ours=Variant(ours.tools_of, AgentCacheSession)) == 1
    shown = capsys.readouterr()
    assert "was not stopped" in shown.out
    assert "stale answers" in shown.out
    assert ESCAPE not in shown.out + shown.err


@pytest.mark.parametrize("option", ["--seconds", "--price"])
@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "much"])
def test_a_number_that_is_none_is_refused_with_its_value(
    option: str, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main((f"{option}={given}",))
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
