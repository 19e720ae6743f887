"""GLUE: six tasks with two labels, asked in words (Wang et al. 2019; each set has its own terms).

    prompt  Review: A warm and funny film.
            Is this review negative or positive?
    answer  positive

Answers are words, so that they can be ranked by likelihood or generated. Of a generated text the
choice that it names first counts; naming none, denying it or naming both at once is wrong. What is
asked is the validation set, whose labels are public. Of MRPC a data folder may hold the test set
instead, whose labels its authors published; those are other rows than the hub's.

STS-B is left out: its answer is a grade from 0 to 5, compared by correlation, and no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unmask.evaluate.task import Example, Files, Scores, Task
from unmask.evaluate.wording import ENDS, Wording, worded
from unmask.verify.choices import Guess, f1, matthews, picked

STYLES = {
    "chat": Wording(last="\nAnswer with one word.", stops=ENDS),
    "plain": Wording(after="\nAnswer:", chat=False, stops=("\n", *ENDS)),
}
NO_YES = ("no", "yes")
# Class numbers differ: entailment is 0 in RTE and QNLI, 1 in WNLI.
FOLLOWS = {"entailment": "yes", "not_entailment": "no"}
PLAIN = {"0": "no", "1": "yes"}
REVERSED = {"0": "yes", "1": "no"}
Figure = Callable[[Sequence[bool], Sequence[Guess]], float]


@dataclass(frozen=True)
class Set:
    """One data set: which columns are shown under which headings, what is asked about them, which
    label means which word, and the figure that is reported for all answers together."""

    name: str
    about: str
    licence: str
    columns: Mapping[str, str]
    question: str
    labels: Mapping[str, str]
    choices: tuple[str, str] = NO_YES
    figure: tuple[str, Figure] | None = None
    local: str = "dev"


SETS = (
    Set(
        "sst2",
        "is a film review negative or positive",
        "free for research (Socher et al. 2013)",
        {"Review": "sentence"},
        "Is this review negative or positive?",
        {"0": "negative", "1": "positive"},
        ("negative", "positive"),
    ),
    Set(
        "cola",
        "is a sentence grammatical",
        "free for research (Warstadt et al. 2019)",
        {"Sentence": "sentence"},
        "Is this sentence grammatical, yes or no?",
        PLAIN,
        figure=("matthews", matthews),
    ),
    Set(
        "mrpc",
        "do two sentences say the same",
        "Microsoft research licence (Dolan and Brockett 2005)",
        {"First sentence": "sentence1", "Second sentence": "sentence2"},
        "Do both sentences say the same, yes or no?",
        PLAIN,
        figure=("f1", f1),
        local="test",
    ),
    Set(
        "rte",
        "does a statement follow from a text",
        "free for research (PASCAL RTE 1, 2, 3 and 5)",
        {"Text": "sentence1", "Statement": "sentence2"},
        "Does the statement follow from the text, yes or no?",
        REVERSED | FOLLOWS,
    ),
    Set(
        "qnli",
        "does a sentence answer a question",
        "CC-BY-SA-4.0 (made from SQuAD)",
        {"Question": "question", "Sentence": "sentence"},
        "Does the sentence hold the answer to the question, yes or no?",
        REVERSED | FOLLOWS,
    ),
    Set(
        "wnli",
        "does a statement with a pronoun filled in follow from a text",
        "CC-BY-4.0 (Levesque et al. 2011)",
        {"Text": "sentence1", "Statement": "sentence2"},
        "Does the statement follow from the text, yes or no?",
        PLAIN | FOLLOWS,
    ),
)


def score(example: Example, text: str) -> Scores:
    """Whether the choice that ``text`` names first is the right one."""
    return {"accuracy": float(picked(text, example.choices) == example.final)}


def _reader(kind: Set) -> Callable[[Mapping[str, Any]], Example]:
    def example(row: Mapping[str, Any]) -> Example:
        label = str(row["label"])
        if label not in kind.labels:
            raise ValueError(f"label={label!r} is none of {', '.join(kind.labels)}")
        shown = "".join(f"{name}: {row[column]}\n" for name, column in kind.columns.items())
        word = kind.labels[label]
        return Example(shown + kind.question, word, word, choices=kind.choices)

    return example


def _overall(name: str, figure: Figure) -> Callable[[Sequence[tuple[Example, str]]], Scores]:
    """The figure over all answers; one that picks nothing is of neither class."""

    def overall(answers: Sequence[tuple[Example, str]]) -> Scores:
        truths = [example.final == example.choices[1] for example, _ in answers]
        picks = [(picked(text, example.choices), example.choices[1]) for example, text in answers]
        guesses = [None if pick is None else pick == yes for pick, yes in picks]
        return {name: figure(truths, guesses)}

    return overall


def _task(kind: Set) -> Task:
    names = dict.fromkeys((f"glue/{kind.name}_dev", f"glue/{kind.name}_{kind.local}"))
    return Task(
        name=f"glue/{kind.name}",
        about=kind.about,
        licence=kind.licence,
        canvas=16,
        source=Files(
            tuple(name + end for name in names for end in (".jsonl.gz", ".jsonl")),
            ("nyu-mll/glue", f"{kind.name}/validation-00000-of-00001.parquet"),
            _reader(kind),
        ),
        score=score,
        ask=worded(STYLES),
        styles={"tiny": "plain", "": "chat"},
        overall=_overall(*kind.figure) if kind.figure else None,
        picks=True,
    )


TASKS = tuple(map(_task, SETS))
