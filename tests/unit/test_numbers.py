"""Numbers in free answers: what is found in fifty hand-made ones."""

from __future__ import annotations

from fractions import Fraction

import pytest

from unmask.verify.numbers import final_number, stated_number

# text, the number found, whether it is stated as the answer
OUTPUTS = [
    ("18", 18, False),
    ("She has 18 left", 18, False),
    ("So she makes 9 * 2 = $18 every day.", 18, False),
    ("First 5, then 7, so 12", 12, False),
    ("12 apples and 3", 3, False),
    ("The total is 1,234.", 1234, False),
    ("It costs $1,234.50.", Fraction(2469, 2), False),
    ("That is 12,345,678 people", 12345678, False),
    ("He picks 1, 2 and 3", 3, False),
    ("The list is 1,2", 2, False),
    ("18.0", 18, False),
    ("18.", 18, False),
    ("0018", 18, False),
    ("It weighs .5 kg", Fraction(1, 2), False),
    ("Let me think...5", 5, False),
    ("It is -7 degrees", -7, False),
    ("It is −7 degrees", -7, False),
    ("10-5", 5, False),
    ("(10)-5", 5, False),
    ("The change is -$5", -5, False),
    ("The change is $-5", -5, False),
    ("- 5 boxes", 5, False),
    ("3–5", 5, False),
    ("50%", 50, False),
    ("He ate 1/2", Fraction(1, 2), False),
    ("16/2 = 8", 8, False),
    ("5/0", None, False),
    ("１８ dollars", 18, False),
    ("€20", 20, False),
    ("9" * 5000, None, False),
    ("3 and " + "9" * 60, 3, False),
    ("", None, False),
    ("I do not know.", None, False),
    ("#### 18", 18, True),
    ("#### $1,234", 1234, True),
    ("Two and 3.\n#### 18\nThis took 5 steps.", 18, True),
    ("#### 17\n#### 18", 18, True),
    ("The answer is 18.", 18, True),
    ("The answer is 18. That took 3 steps.", 18, True),
    ("The answer is 17. Wait, the answer is 18.", 18, True),
    ("The answer is $18.50 for 2 tickets.", Fraction(37, 2), True),
    ("the answer is 5 * 2 = 10 apples in 3 bags", 10, True),
    ("**Answer:** 18 of 20", 18, True),
    ("The final answer is:\n18", 18, True),
    ("The answer is unknown, though 4 is near", 4, True),
    ("The answer is none of them. 4", 4, False),
    (r"\boxed{18}", 18, True),
    (r"The answer is 17. \boxed{18} and 19", 18, True),
    (r"\boxed{\$1{,}234}", 1234, True),
    (r"\boxed{18\text{ cm}^2}", 18, True),
    (r"\boxed{x = 18}", 18, True),
    (r"\boxed{-\frac{3}{4}}", Fraction(-3, 4), True),
    (r"\boxed{x = \frac{3}{4}}", Fraction(3, 4), True),
    (r"10 - \frac{3}{4}", Fraction(3, 4), False),
    (r"\boxed{7} so \boxed{8}", 8, True),
    (r"It is 5. \boxed{", 5, False),
    (r"\boxed{}", None, False),
]


@pytest.mark.parametrize(("text", "number", "stated"), OUTPUTS)
def test_the_number_of_a_hand_made_answer_is_found(text, number, stated):
    assert final_number(text) == number
    assert stated_number(text) == (number if stated else None)


def test_a_long_text_is_searched_in_one_pass():
    assert final_number("answer is " * 100_000 + "18") == 18
    assert final_number("1," * 200_000 + " 18") == 18
    assert final_number("-" * 400_000 + "18") == -18
