"""Generate and watch: which tokens did every forward write, and where?

python examples/watch_commits.py
"""

from __future__ import annotations

import unmask

QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"


def main() -> None:
    """Answer, then replay the answer forward by forward."""
    model = unmask.load("tiny-fast")
    [answer] = unmask.generate(model, QUESTION)
    codec, film = model.codec, answer.trajectory
    assert codec, "the built-in models have a tokenizer"
    start, stop = film.prompt_length, film.prompt_length + answer.tokens
    for step in range(1, film.steps + 1):
        written = [at for at in range(start, stop) if film.born_L[at] == step]
        places = ", ".join(str(at - start) for at in written)
        print(f"forward {step} fed {film.fed[step - 1]} positions and wrote at {places}:")
        print(f"    {codec.decode(film.tokens_L[written].tolist())!r}")
    print(answer.text)


if __name__ == "__main__":
    main()
