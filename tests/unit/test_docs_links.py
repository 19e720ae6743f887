"""Links and pictures of the pages lead somewhere: on GitHub, and on the site for those in docs/."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from pages import PAGES, ROOT

DOCS = ROOT / "docs"
TARGET = re.compile(r'(?:src|srcset|href)="([^"]+)"')


def tokens(page):
    for token in MarkdownIt().parse(page.read_text()):
        yield token
        yield from token.children or ()


def targets(page):
    """What a page links to or shows, in Markdown and in HTML."""
    found = []
    for token in tokens(page):
        found += [str(value) for name, value in token.attrs.items() if name in ("href", "src")]
        if token.type in ("html_block", "html_inline"):
            found += TARGET.findall(token.content)
    return [target for target in found if not urlsplit(target).scheme]


def anchors(page):
    """Of its headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page):
    for target in targets(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / unquote(path)).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        if DOCS in page.parents:
            assert DOCS in there.parents, f"{target} is outside the site: name the file instead"
            assert there.is_file(), f"{target} is a folder: the site has pages only"
        if anchor:
            assert anchor in anchors(there), f"{target}: no such heading"


def test_links_are_found_in_markdown_and_html(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '[a](b.md#c) ![d](e.svg)\n\n<picture><img src="f.svg"></picture>\n\n<https://g.h>\n'
    )
    assert targets(page) == ["b.md#c", "e.svg", "f.svg"]
