"""Where is the program in an answer? Fenced code, cut down to what its entry point needs.

This is the post-processing behind the published HumanEval and MBPP figures (Fast-dLLM, dParallel,
d3LLM): the text between the first fence and the next, of its first 100 lines the longest span that
parses, and of that the imports, classes, assignments and functions that can be reached. Unlike
there, helpers stay that return nothing, and those that only the tests call (HumanEval/50 could not
be solved otherwise).
"""

from __future__ import annotations

import ast
import re
import threading
import warnings

MOST_LINES = 100  # as in the published scripts; what comes later is not looked at
TAB = " " * 4
FENCE = "```"
OPENING = re.compile(r"```(?:python|py)[ \t]*(?:\n|$)", re.IGNORECASE)
ANY_OPENING = re.compile(r"```[^\n`]*(?:\n|$)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMED = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
QUIET = threading.Lock()  # Python's warning filters are one for all threads
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def program_of(text: str, head: str = "", entry: str | None = None, tests: str = "") -> str:
    """The program in an answer, "" if there is none.

    An answer may go on with ``head`` at once, as one does that began inside a fence, or have its
    code in a fence, with or without a repetition of ``head``.

    Args:
        text: what a model wrote; anything.
        head: code that the answer goes on with (HumanEval's prompt), put before it.
        entry: the function to be tested; without it any function will do.
        tests: what they name stays as well.
    """
    for code in dict.fromkeys((text.partition(FENCE)[0], fenced(text))):
        program = sanitised(f"{head}\n{code}" if head else code, entry, tests)
        if _defines(program, entry):
            return program
    return ""


def fenced(text: str) -> str:
    """What is between the first fence for Python, else the first fence, and the next fence; the
    whole text if it has none."""
    opening = OPENING.search(text) or ANY_OPENING.search(text)
    return text[opening.end() :].partition(FENCE)[0] if opening else text


def sanitised(text: str, entry: str | None = None, tests: str = "") -> str:
    """The longest valid span of ``text``, cut down to definitions that ``entry`` or tests reach.

    Functions without ``return`` or ``yield`` go, unless one that stays calls them: they are the
    stubs of a repeated prompt. Of functions and classes with one name the last stays.
    """
    tree = _parsed(longest_valid(text))
    if tree is None:
        return ""
    wanted = None if entry is None else {entry, *_words(tests)}
    try:
        return ast.unparse(ast.Module(_kept(tree.body, wanted), []))
    except UNPARSABLE:
        return ""


def longest_valid(text: str) -> str:
    """The contiguous lines that parse and of which most are not blank, the first such span."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", TAB)
    lines = plain.split("\n")[:MOST_LINES]
    best, most = "", 0
    for start in range(len(lines)):
        end = len(lines)
        while _filled(lines[start:end]) > most:
            span = "\n".join(lines[start:end])
            wrong = _wrong_line(span)
            if wrong is None:
                best, most = span, _filled(lines[start:end])
                break
            # Python met no way on at that line, so a shorter text with that line has none either.
            end = start + min(wrong, end - start) - 1
    return best.strip("\n")


def _filled(lines: list[str]) -> int:
    return sum(1 for line in lines if line.strip())


def _wrong_line(text: str) -> int | None:
    """The number of the line where parsing fails, None if it does not."""
    try:
        _parse(text)
    except SyntaxError as error:
        return error.lineno or text.count("\n") + 1
    except UNPARSABLE:
        return text.count("\n") + 1
    return None


def _parsed(text: str) -> ast.Module | None:
    try:
        return _parse(text)
    except UNPARSABLE:
        return None


def _parse(text: str) -> ast.Module:
    with QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in a text is the model's business
        return ast.parse(text)


def _kept(body: list[ast.stmt], wanted: set[str] | None) -> list[ast.stmt]:
    """What stays, in its order; None wants all."""
    named = [node for node in body if isinstance(node, NAMED)]
    last = {node.name: node for node in sorted(named, key=_answers)}  # those that answer go last
    able = [node for node in body if isinstance(node, ASSIGNMENTS) or node in last.values()]
    roots = [
        node
        for node in able
        if _answers(node) and (wanted is None or wanted.intersection(_names(node)))
    ]
    reached = _reached(roots, able)
    return [node for node in body if isinstance(node, IMPORTS) or node in reached]


def _reached(roots: list[ast.stmt], able: list[ast.stmt]) -> list[ast.stmt]:
    """``roots`` and what they name, in any number of steps; attributes count as names."""
    found = list(roots)
    for node in found:  # grows while it is walked
        wanted = _mentioned(node)
        found += [one for one in able if one not in found and wanted.intersection(_names(one))]
    return found


def _names(node: ast.stmt) -> list[str]:
    """What a statement defines or changes, if it is a definition."""
    if isinstance(node, NAMED):
        return [node.name]
    if isinstance(node, ASSIGNMENTS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [part.id for one in targets for part in ast.walk(one) if isinstance(part, ast.Name)]
    return []


def _words(tests: str) -> set[str]:
    tree = _parsed(tests)
    return set() if tree is None else _mentioned(tree)


def _mentioned(node: ast.AST) -> set[str]:
    parts = list(ast.walk(node))
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    return names | {part.attr for part in parts if isinstance(part, ast.Attribute)}


def _answers(node: ast.stmt) -> bool:
    """Whether a definition can give something back."""
    if not isinstance(node, FUNCTIONS):
        return True
    return any(isinstance(part, (ast.Return, ast.Yield, ast.YieldFrom)) for part in ast.walk(node))


def _defines(program: str, entry: str | None) -> bool:
    tree = _parsed(program)
    body = [] if tree is None else tree.body
    if entry is None:
        return any(isinstance(node, NAMED) for node in body)
    return any(entry in _names(node) for node in body)
