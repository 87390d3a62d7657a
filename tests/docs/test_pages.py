from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import agent_cache
import cache
import cache.testing
from cache.tiers._shared_memory import SHARED_MEMORY
from tests.docs.pages import blocks_of, run
from tests.redis_server import RedisServer, need_redis

#: The variable in which applications find where their server is.
SERVER = "REDIS_URL"

TOP = Path(__file__).resolve().parents[2]
README = TOP / "README.md"
CONTRIBUTING = TOP / "CONTRIBUTING.md"
SITE = sorted((TOP / "docs").glob("*.md"))
PAGES = [README, CONTRIBUTING, *SITE]
each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(TOP)) for page in PAGES])


@each_page
def test_every_example_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    if speaks_for_the_whole_process(page):
        run_alone(page, tmp_path)
    else:
        run(page)
        cache.testing.assert_sound()


def speaks_for_the_whole_process(page: Path) -> bool:
    """Whether an example says something that would hold for the caches of other tests as well."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    return any("configure(" in block.body for block in blocks if block.language == "python")


def run_alone(page: Path, folder: Path) -> None:
    """Run a page in a process of its own, whose files are left in a folder."""
    if sys.platform != "linux":
        pytest.skip("the examples share memory, as only Linux can")
    command = (sys.executable, "-W", "error", "-m", "tests.docs.pages", str(page))
    paths = os.pathsep.join([str(TOP), str(Path(cache.__file__).parents[1])])
    try:
        with place_of_a_server(page) as place:
            environment = os.environ | {"PYTHONPATH": paths} | place
            ended = subprocess.run(  # noqa: S603 - it runs what this project shows
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
    finally:
        # The bus of the examples; whoever else uses one of this name loads anew, and goes on.
        Path(SHARED_MEMORY, f"async-cache.{os.geteuid()}.shop").unlink(missing_ok=True)
    assert not ended.returncode, ended.stderr


@contextmanager
def place_of_a_server(page: Path) -> Iterator[dict[str, str]]:
    """What a page finds in its environment if it asks there for a server: the place of one that is there for it."""
    if SERVER not in page.read_text(encoding="utf-8"):
        yield {}
        return
    need_redis()
    server = RedisServer()
    try:
        yield {SERVER: server.url}
    finally:
        server.end()


@each_page
def test_every_program_that_a_page_includes_is_one(page: Path) -> None:
    included = [block.included for block in blocks_of(page.read_text(encoding="utf-8")) if block.included]
    for path in included:
        compile((TOP / path).read_text(encoding="utf-8"), path, "exec", dont_inherit=True)


def test_every_framework_has_its_program_in_the_guide() -> None:
    blocks = blocks_of((TOP / "docs" / "agents.md").read_text(encoding="utf-8"))
    programs = [str(path.relative_to(TOP)) for path in sorted((TOP / "examples" / "agents").glob("*_shop.py"))]
    assert sorted(block.included for block in blocks if block.included) == programs


@each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([\w-]+)", text)) | typed_targets(text) <= make_targets()


def test_contributing_lists_every_make_target() -> None:
    assert typed_targets(CONTRIBUTING.read_text(encoding="utf-8")) == make_targets() - {"help"}


@each_page
def test_no_line_is_too_long_but_the_rows_of_tables(page: Path) -> None:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > 120 and not line.startswith("|")]


def test_the_readme_names_the_two_commands_of_a_newcomer() -> None:
    assert {"demo", "test"} <= typed_targets(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README.md", "CONTRIBUTING.md"])
def test_every_link_outside_the_site_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (TOP / path).is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (TOP / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"\W+", "-", heading.lower()).strip("-") for heading in headings}, link


@pytest.mark.parametrize("module", [cache, cache.testing, agent_cache], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: object) -> None:
    reference = (TOP / "docs" / "reference.md").read_text(encoding="utf-8")
    names: list[str] = getattr(module, "__all__")  # noqa: B009 - a module of which only this is known
    missing = [name for name in names if not re.search(rf"(::: [\w.]+\.|`(\w+\.)*){name}\b", reference)]
    assert not missing


def test_every_page_is_in_the_navigation() -> None:
    navigation = (TOP / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [page.name for page in SITE if f"- {page.name}\n" not in navigation]


def typed_targets(text: str) -> set[str]:
    """The targets of make that a reader of the page types into a shell."""
    typed = "\n".join(block.body for block in blocks_of(text) if block.language == "console")
    return set(re.findall(r"^\$ make ([\w-]+)", typed, re.MULTILINE))


def make_targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
