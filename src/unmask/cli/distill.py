"""`unmask distill`: a student that is sure of many tokens early."""

from __future__ import annotations

import argparse

from unmask.cli import training

EXAMPLES = """\
examples:
  unmask harvest --task stories --count 1500 --preset vanilla --out runs/harvest
  unmask distill --recipe d3llm-tiny --data runs/harvest --out runs/student
  unmask distill --recipe d3llm-llada --model GSAI-ML/LLaDA-8B-Instruct --data runs/llada \\
      --out runs/d3llm --precision bf16 --recompute --micro-batch 1
  unmask generate --model runs/student/student "..."

Give the same command again after an interruption: the run goes on where it was last saved, with
the same losses to the last digit (on a CPU). Several GPUs:
torchrun --nproc-per-node 8 -m unmask distill ... --shard cuts the weights among them.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    training.add_options(parser, None)


def run(arguments: argparse.Namespace) -> None:
    """Distil."""
    training.run(arguments)
