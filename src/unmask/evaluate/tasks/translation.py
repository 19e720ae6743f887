"""Translation between German, Korean and English, scored by chrF and BLEU.

    prompt  German: Ein Hund läuft durch den Schnee.
            English:
    answer  A dog runs through the snow.

German: the 2016 Flickr test set of Multi30k, 1,000 image captions (Elliott et al. 2016). Korean:
the news test set of Korean Parallel Corpora, 2,000 sentences (Park et al. 2016). It is the split of
its authors; the Tatoeba sentences that may lie beside it have no official split and are too short
to tell decoders apart (a median of 14 characters, against 65).

BLEU needs words. Korean ones carry particles, and the usual analyser is a package of its own, so a
Korean text is cut into characters ("char", spaces aside); other languages get sacrebleu's default,
"13a". Compare BLEU only between texts in the same language.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from unmask.errors import InputError
from unmask.evaluate.task import Example, Files, Scores, Task
from unmask.evaluate.wording import ENDS, Wording, worded

LANGUAGES = {"de": "German", "en": "English", "ko": "Korean"}
CUT = {"ko": "char"}
MULTI30K = (
    ("multi30k/test_2016_flickr.jsonl.gz", "multi30k/test_2016_flickr.jsonl"),
    ("bentrevett/multi30k", "test.jsonl"),
)
NEWS = (("ko_en/news_test.jsonl.gz", "ko_en/news_test.jsonl"), None)
LICENCES = {"de": "CC-BY-NC-SA-4.0 (research only)", "ko": "CC-BY-SA-3.0"}


def score(example: Example, text: str) -> Scores:
    """chrF of one sentence, 0 to 1; millionths are cut off, as a perfect match sums to 1 - 1e-16.

    Raises:
        InputError: sacrebleu is not installed.
    """
    figure = _sacrebleu().CHRF().sentence_score(_line(text), [_line(example.final)])
    return {"chrf": round(figure.score / 100, 6)}


def overall(cut: str, answers: Sequence[tuple[Example, str]]) -> Scores:
    """BLEU and chrF of all sentences together, 0 to 100 as they are always given.

    Raises:
        InputError: sacrebleu is not installed.
    """
    if not answers:
        return {"bleu": 0.0, "chrf": 0.0}
    library = _sacrebleu()
    texts = [_line(text) for _, text in answers]
    references = [[_line(example.final) for example, _ in answers]]
    return {
        "bleu": library.BLEU(tokenize=cut).corpus_score(texts, references).score,
        "chrf": library.CHRF().corpus_score(texts, references).score,
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def _sacrebleu() -> ModuleType:
    try:
        return importlib.import_module("sacrebleu")
    except ImportError:
        raise InputError(
            "translations are scored by sacrebleu; pip install 'unmask[eval]'"
        ) from None


def _reader(source: str, target: str) -> Callable[[Mapping[str, Any]], Example]:
    def example(row: Mapping[str, Any]) -> Example:
        if not row[source].strip() or not row[target].strip():
            raise ValueError(f"field {source!r} or {target!r} is empty")
        return Example(row[source], row[target], row[target])

    return example


def _styles(source: str, target: str) -> Mapping[str, Wording]:
    own, other = LANGUAGES[source], LANGUAGES[target]
    told = f"Translate this sentence from {own} to {other}. Write the translation only.\n\n"
    return {
        "chat": Wording(told, stops=ENDS),
        "plain": Wording(f"{own}: ", f"\n{other}:", chat=False, stops=("\n", *ENDS)),
    }


def _task(source: str, target: str) -> Task:
    other = target if source == "en" else source
    local, hub = MULTI30K if other == "de" else NEWS
    what = "image captions" if other == "de" else "news sentences"
    return Task(
        name=f"translation/{source}-{target}",
        about=f"{what} from {LANGUAGES[source]} to {LANGUAGES[target]}",
        licence=LICENCES[other],
        canvas=96 if other == "de" else 192,
        source=Files(local, hub, _reader(source, target)),
        score=score,
        metric="chrf",
        ask=worded(_styles(source, target)),
        styles={"tiny": "plain", "": "chat"},
        overall=partial(overall, CUT.get(target, "13a")),
    )


TASKS = tuple(_task(*pair) for pair in (("de", "en"), ("en", "de"), ("ko", "en"), ("en", "ko")))
