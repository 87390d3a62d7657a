from __future__ import annotations

import re
from pathlib import Path

import pytest

import cache
import cache.testing
from tests.docs.pages import blocks_of, run

TOP = Path(__file__).resolve().parents[2]
README = TOP / "README.md"
PAGES = [README, *sorted((TOP / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(TOP)) for page in PAGES])


@each_page
def test_every_example_runs_and_prints_what_the_page_shows(page: Path) -> None:
    run(page)
    cache.testing.assert_sound()


@each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    typed = "\n".join(block.body for block in blocks_of(text) if block.language == "console")
    named = set(re.findall(r"`make ([\w-]+)", text)) | set(re.findall(r"^\$ make ([\w-]+)", typed, re.MULTILINE))
    targets = set(re.findall(r"^([\w-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


@each_page
def test_no_line_is_too_long_but_the_rows_of_tables(page: Path) -> None:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > 120 and not line.startswith("|")]


def test_the_readme_names_the_two_commands_of_a_newcomer() -> None:
    typed = [block.body for block in blocks_of(README.read_text(encoding="utf-8")) if block.language == "console"]
    assert {"make demo", "make test"} <= set(re.findall(r"make \w+", "".join(typed)))


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (TOP / path).is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (TOP / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"\W+", "-", heading.lower()).strip("-") for heading in headings}, link


@pytest.mark.parametrize("module", [cache, cache.testing], ids=["cache", "cache.testing"])
def test_every_public_name_is_in_the_reference(module: object) -> None:
    reference = (TOP / "docs" / "reference.md").read_text(encoding="utf-8")
    names: list[str] = getattr(module, "__all__")  # noqa: B009 - a module of which only this is known
    missing = [name for name in names if not re.search(rf"(::: [\w.]+\.|`(\w+\.)*){name}\b", reference)]
    assert not missing


def test_every_page_is_in_the_navigation() -> None:
    navigation = (TOP / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES if page is not README and f"- {page.name}\n" not in navigation]
