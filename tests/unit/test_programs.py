"""Programs out of answers: fences, the longest valid span, what is kept of it."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.verify.programs import fenced, longest_valid, program_of, sanitised

HEAD = 'def double(x):\n    """Twice x."""\n'
WHOLE = "def double(x):\n    return 2 * x"
BODY = "    return 2 * x\n"
FENCED = f"Sure, here it is:\n\n```python\n{WHOLE}\n```\n\nIt doubles x.\n"


def doubles(program):
    space = {}
    exec(program, space)
    return space["double"](4) == 8


# Fences


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```python\nb\n```\nc", "b\n"),
        ("a\n```py\nb\n```\nc", "b\n"),
        ("a\n```\nb\n```\nc", "b\n"),
        ("a\n```python\nb", "b"),
        ("```sh\nls\n```\n```python\nb\n```", "b\n"),
        ("```python\na\n```\n```python\nb\n```", "a\n"),
        ("no fence", "no fence"),
        ("", ""),
    ],
)
def test_code_is_what_the_first_fence_holds(text, code):
    assert fenced(text) == code


@pytest.mark.parametrize(
    "text",
    [
        FENCED,
        WHOLE,
        BODY,
        f"{BODY}```\n\nFor example:\n\n```python\nprint(double(2))\n```\n",  # began in a fence
        f"```python\n{HEAD}{BODY}```",
        f"```python\n{WHOLE}",  # cut off by the canvas
        f"```\n{WHOLE}\n```",
        f"```python\n{HEAD}\treturn 2 * x\n```",
        f"```python\r\n{WHOLE}\r\n```".replace("\n    ", "\r\n    "),
        f"{FENCED}```python\nprint('that was it'\n```",
        f"[BEGIN]\n{WHOLE}",
        "```python\ndouble = lambda x: 2 * x\n```",
        f"```python\n{WHOLE}\n\nassert double(2) == 5\nprint(1 / 0)\nwhile True: pass\n```",
    ],
)
def test_the_function_is_found_however_it_is_wrapped(text):
    assert doubles(program_of(text, HEAD, "double"))


@pytest.mark.parametrize(
    "text", ["", "   ", "I cannot do this.", "```python\n```", "def triple(x):\n    return x", HEAD]
)
def test_without_the_function_there_is_no_program(text):
    assert program_of(text, HEAD, "double") == ""


def test_without_an_entry_point_any_function_will_do():
    assert doubles(program_of(FENCED))
    assert program_of("x = 3") == ""


# The longest valid span


def test_what_cannot_be_parsed_is_empty():
    assert longest_valid("this is (no program") == ""
    assert sanitised("this is (no program") == ""


def test_prose_around_code_is_left_out():
    assert longest_valid(f"The function is:\n{WHOLE}\nAs you can see, it works.") == WHOLE


def test_lines_that_are_not_blank_decide_which_span_is_longest():
    text = "a = 1\n\n\n\n\n\nb = (\n\nc = 1\nd = 2\ne = 3"
    assert longest_valid(text) == "c = 1\nd = 2\ne = 3"


def test_the_first_of_equal_spans_is_taken():
    assert longest_valid("a = 1\n(((\nb = 2") == "a = 1"


def test_tabs_are_four_spaces_and_line_ends_are_one():
    assert longest_valid("if x:\r\n\ty = 1\r    z = 2") == "if x:\n    y = 1\n    z = 2"


def test_lines_after_the_hundredth_are_not_looked_at():
    text = "\n".join(f"a{number} = {number}" for number in range(150))
    assert longest_valid(text).splitlines()[-1] == "a99 = 99"


SPOILS = (
    "", "Here it is:", "```", "def f(", "x = [1,", '"""', "else:", "    return 3", "try:", "\\",
    "'abc", "x = f'{a b}'", "f'''", "{a b}", "f(", ") = 3", "@x", "case 1:", "$", "1a", "except:",
    "print 3", "            z", "f(**a, *b)", "x = {1: 2, 3}", "f(a for a in b, c)", "None = 2",
    "f'{' ", "del f()",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_the_span_is_that_of_trying_all_spans(seed):
    draw = random.Random(seed)
    lines = (HEAD + BODY + "\nclass A:\n    b = (1,\n         2)\n\nfor c in A.b:\n    c\n").split(
        "\n"
    )
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(lines))
        lines[at : at + draw.randint(0, 1)] = [draw.choice(SPOILS)]
    spans = [
        (sum(bool(line.strip()) for line in lines[start:end]), -start, -end)
        for start in range(len(lines))
        for end in range(start + 1, len(lines) + 1)
        if parses("\n".join(lines[start:end]))
    ]
    most, start, end = max(spans, default=(0, 0, 0))
    wanted = "\n".join(lines[-start:-end]).strip("\n") if most else ""
    assert longest_valid("\n".join(lines)) == wanted


def parses(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


# What is kept


def test_imports_classes_assignments_and_functions_stay():
    text = "import math\nfrom os import path\nA = 1\nA += 1\nb: int = 2\n\nclass C:\n    pass\n"
    assert sanitised(text) == ast.unparse(ast.parse(text))


def test_all_else_goes():
    text = f"{WHOLE}\nprint(double(2))\nif True:\n    x = 1\nfor _ in []:\n    pass\ndel double\n"
    assert sanitised(text) == WHOLE


def test_a_function_without_return_goes():
    assert sanitised(f"def stub(x):\n    pass\n{WHOLE}") == WHOLE


def test_a_function_without_return_stays_if_one_that_stays_calls_it():
    text = "def push(to):\n    to.append(1)\n\ndef f(to):\n    push(to)\n    return to"
    assert sanitised(text, "f").startswith("def push")


def test_a_generator_stays():
    text = "def double(x):\n    yield x"
    assert sanitised(text, "double") == text


@pytest.mark.parametrize("call", ["helper(x)", "self.helper(x)", "[helper for _ in x]"])
def test_a_helper_that_is_reached_stays(call):
    text = f"def helper(y):\n    return y\n\ndef f(x):\n    return {call}"
    assert sanitised(text, "f") == text


def test_helpers_of_helpers_stay_and_others_go():
    text = (
        "SIZE = 3\nOTHER = 4\ndef inner():\n    return SIZE\ndef helper():\n    return inner()\n"
        "def lonely():\n    return OTHER\ndef f():\n    return helper()"
    )
    kept = sanitised(text, "f")
    assert "SIZE" in kept
    assert "inner" in kept
    assert "lonely" not in kept
    assert "OTHER" not in kept


def test_what_only_the_tests_call_stays():
    text = "def code(x):\n    return x + 1\n\ndef decode(x):\n    return x - 1"
    assert sanitised(text, "decode") == text.split("\n\n")[1]
    assert sanitised(text, "decode", "assert decode(code(1)) == 1") == text


def test_of_two_functions_with_one_name_the_last_stays():
    assert sanitised(f"def double(x):\n    return 0\n{WHOLE}", "double") == WHOLE


def test_a_stub_does_not_replace_the_function_before_it():
    assert sanitised(f"{WHOLE}\n{HEAD}", "double") == WHOLE


def test_a_function_may_be_wrapped_by_an_assignment():
    assert sanitised(f"{WHOLE}\ndouble = abs(double)", "double").endswith("double = abs(double)")


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\ud800 = 1",
        "x = '\ud800'",
        "(" * 3000,
        "-" * 20000 + "1",
        "x = " + "[" * 150 + "]" * 150,
        "x = 1" + " + 1" * 5000,
        "x = 0x" + "f" * 5000,
        "x" + ".a" * 5000 + " = 1",
        "if x:\n" + "".join("    " * depth + "if x:\n" for depth in range(1, 99)),
        "```" * 1000,
        "\f\v\x1c\u2028def double(x): return 1",
        r"x = '\d'",
    ],
)
def test_nothing_raises(text):
    assert isinstance(program_of(text, HEAD, "double"), str)
    assert isinstance(program_of(f"```python\n{text}\n{WHOLE}\n```"), str)


PIECES = [
    "```",
    "```python\n",
    "\n",
    "    ",
    "\t",
    "def f(x):",
    "return x",
    "(",
    ")",
    '"""',
    ":",
    "#",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=20).map("".join))
def test_no_text_raises(text):
    found = program_of(text, HEAD, "f", text)
    assert found == "" or parses(found)
