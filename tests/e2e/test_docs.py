"""Every command and program of every page does what the page says."""

from __future__ import annotations

import pytest

from pages import COMMANDS, PAGES, PROGRAMS, ROOT, blocks, place

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def to_run(name):
    return [
        block
        for block in blocks((ROOT / name).read_text())
        if block.language in (*COMMANDS, *PROGRAMS) and not block.mark.startswith("not run")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if to_run(name)])
def test_the_blocks_of_a_page_run_in_their_order(name, tmp_path):
    with place(tmp_path) as where:
        for block in blocks((ROOT / name).read_text()):
            try:
                where.take(block)
            except AssertionError as error:
                error.add_note(f"{name}, line {block.line}:\n{block.code}")
                raise


def test_pages_with_commands_are_found():
    assert {"README.md", "docs/start.md", "docs/extend.md"} <= {n for n in NAMES if to_run(n)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("words\n\n    unmask models\n", "line 3: an indented block"),
        ("```\nunmask models\n```\n", "line 1: '' is no language"),
        ("```shell\nunmask models\n```\n", "line 1: 'shell' is no language"),
    ],
)
def test_a_block_has_to_say_what_it_is(text, message):
    with pytest.raises(ValueError, match=message):
        blocks(text)


def test_a_reason_belongs_to_the_block_behind_it():
    fence = "```sh\n{}\n```\n\n"
    text = "<!-- not run: minutes -->\n{}{}<!-- not run: -->\n{}"
    found = blocks(text.format(*map(fence.format, "abc")))
    assert [(block.code, block.mark) for block in found] == [
        ("a\n", "not run: minutes"), ("b\n", ""), ("c\n", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\necho broken; false\n```\n", "broken"),
        ("```sh\necho good\n```\n<!-- printed -->\n```text\nbad\n```\n", "good"),
    ],
)
def test_a_wrong_page_fails(text, told, tmp_path):
    *before, wrong = blocks(text)
    with place(tmp_path) as where:
        for block in before:
            where.take(block)
        with pytest.raises(AssertionError, match=told):
            where.take(wrong)
