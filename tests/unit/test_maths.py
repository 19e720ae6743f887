"""Mathematical answers: same or not, from any thread, within the time limit."""

from __future__ import annotations

import threading
import time

import pytest

from unmask.errors import InputError
from unmask.verify import maths

pytest.importorskip("math_verify")

SAME = [
    ("0.5", r"\frac{1}{2}"),
    (r"\frac12", r"\frac{1}{2}"),
    (r"\dfrac{5}{6}", r"\frac56"),
    ("x + 1", "1+x"),
    (r"(2,\pi/2)", r"\left( 2, \frac{\pi}{2} \right)"),
    ("x=5", "5"),
    ("12,345", "12345"),
    (r"50\%", "50"),
    ("(C)", r"\text{(C)}"),
    (r"\{3, -3\}", r"\{-3, 3\}"),
    (r"5\text{ cm}", "5"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    ("Evelyn  ( 1 )", r" \text{Evelyn}(1)"),
]
DIFFERENT = [
    ("0.3", r"\frac{1}{3}"),
    ("(1,2)", "(2,1)"),
    ("[1,2]", "(1,2)"),
    ("x+1", "x+2"),
    ("-5", "5"),
    ("", "5"),
    ("5", ""),
    ("}{", "5"),
    ("\x00\ud800", "5"),
    ("five", "5"),
    ("1 2", "12"),
    ("1\n 2", "12"),
    ("5" * 3000, "5"),
]


@pytest.mark.parametrize(("answer", "truth"), SAME)
def test_what_means_the_same_is_the_same(answer, truth):
    assert maths.same(answer, truth)


@pytest.mark.parametrize(("answer", "truth"), DIFFERENT)
def test_what_means_something_else_is_not(answer, truth):
    assert not maths.same(answer, truth)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (r"so \boxed{3} and \boxed{ \frac{1}{2} }.", r"\frac{1}{2}"),
        ("The answer is $x+1$.\nDone.", "$x+1$"),
        ("Final answer:\n\n 12\nThat is all.", "12"),
        ("First 3.\nThen 4\n\n", "Then 4"),
        ("", ""),
        ("The answer is", ""),
    ],
)
def test_the_final_expression_of_a_text_is_found(text, expression):
    assert maths.final_expression(text) == expression


def test_answers_are_compared_outside_the_main_thread_too():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(maths.same("0.25", r"\frac14")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 3


def test_an_answer_that_takes_too_long_is_wrong_and_the_next_is_judged_afresh():
    judge = maths.Judge()
    try:
        assert judge.same("1/4", "0.25")  # a busy machine may take long over the first one
        judge._seconds = 0.5
        began = time.monotonic()
        assert not judge.same("9^{9^{9^{9}}}", "5")
        assert time.monotonic() - began < 5
        assert judge._process is None
        judge._seconds = 20.0
        assert judge.same("1/4", "0.25")
    finally:
        judge.close()


def test_an_interrupted_question_leaves_no_answer_for_the_next(monkeypatch):
    judge = maths.Judge()
    try:
        assert judge.same("1/4", "0.25")

        def interrupted(process, question, seconds):
            process.stdin.write(question + "\n")
            process.stdin.flush()
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(maths, "_exchange", interrupted)
            with pytest.raises(KeyboardInterrupt):
                judge.same("1/4", "0.25")
        assert not judge.same("1/4", "0.5")
    finally:
        judge.close()


def test_a_checker_that_cannot_be_imported_is_named(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text("import no_such_library_as_this\n")
    with pytest.raises(InputError, match=r"math-verify.*pip install 'unmask\[eval\]'"):
        maths.Judge(worker).same("1", "2")
