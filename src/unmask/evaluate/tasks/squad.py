"""SQuAD 1.1: a question about a passage, answered in the passage's words (CC BY-SA 4.0, Rajpurkar
et al. 2016).

    prompt  Passage: The tower was built in 1887 by a team of forty masons.

            Question: When was the tower built?
    answer  1887

Both figures are those of the data set's own evaluation: lower case, no punctuation, no articles;
the best over all reference answers counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any

from unmask.evaluate.task import Example, Files, Scores, Task
from unmask.evaluate.wording import ENDS, Wording, worded

PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
STYLES = {
    "chat": Wording(
        last="\n\nAnswer with a few words copied from the passage and nothing else.", stops=ENDS
    ),
    "plain": Wording(after="\nAnswer:", chat=False, stops=("\n", *ENDS)),
}


def example(row: Mapping[str, Any]) -> Example:
    """One row: a context, a question, and answers whose texts are the references.

    Raises:
        ValueError: there is no reference.
    """
    references = tuple(row["answers"]["text"])
    if not references:
        raise ValueError("it has no answer")
    prompt = f"Passage: {row['context']}\n\nQuestion: {row['question']}"
    return Example(prompt, references[0], references[0], facts={"references": references})


def score(example: Example, text: str) -> Scores:
    """``exact``: all words agree with a reference; ``f1``: overlap of words with the nearest."""
    references = example.facts.get("references", (example.final,))
    return {
        "exact": max(float(words(text) == words(one)) for one in references),
        "f1": max(overlap(words(text), words(one)) for one in references),
    }


def words(text: str) -> list[str]:
    """Lower case, punctuation removed (words on both sides of it join), then articles removed."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def overlap(given: list[str], wanted: list[str]) -> float:
    """F1 of two bags of words; without a common word 0, two empty bags included."""
    common = (Counter(given) & Counter(wanted)).total()
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


TASKS = (
    Task(
        name="squad",
        about="questions about a passage, answered in its words",
        licence="CC-BY-SA-4.0",
        canvas=32,
        source=Files(
            ("squad/dev.jsonl", "squad/dev.jsonl.gz"),
            ("rajpurkar/squad", "plain_text/validation-00000-of-00001.parquet"),
            example,
        ),
        score=score,
        metric="exact",
        ask=worded(STYLES),
        styles={"tiny": "plain", "": "chat"},
    ),
)
