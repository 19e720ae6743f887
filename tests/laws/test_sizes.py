"""No file over 300 lines, no function over 40."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unmask

ROOT = Path(unmask.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_FILE_LINES = 300
MOST_FUNCTION_LINES = 40

every_file = pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])


@every_file
def test_a_file_has_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= MOST_FILE_LINES


@every_file
def test_a_function_has_at_most_40_lines(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and node.end_lineno - node.lineno >= MOST_FUNCTION_LINES
    }
    assert not long
