"""Answer a file of questions, several in each forward: a row never influences its neighbours.

    python examples/batch_file.py questions.txt answers.jsonl

(From the command line, with going on after an interruption: unmask generate --prompts.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import unmask


def main(source: Path, target: Path) -> None:
    """One question a line in, one JSON object a line out."""
    questions = [line for line in source.read_text().splitlines() if line.strip()]
    model = unmask.load("tiny-fast")
    answers = unmask.generate(model, questions, batch_size=8)
    with target.open("w") as file:
        for question, answer in zip(questions, answers, strict=True):
            row = {"question": question, "answer": answer.text, "forwards": answer.forwards}
            print(json.dumps(row), file=file)
    print(f"{len(answers)} answers, {sum(answer.forwards for answer in answers)} forwards alone")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
