#!/usr/bin/env bash
# The first leaderboard: tiny, its student and its autoregressive twin on 1,000 held-out stories.
#
#     benchmarks/leaderboard.sh [FOLDER]
#
# An hour on two quiet cores. Give it again after an interruption: it goes on. The records,
# packed, and what is made of them stand in docs/results/leaderboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-runs/leaderboard}
count=${COUNT:-1000}

measure() { unmask eval --count "$count" --out "$out/records.jsonl" "$@"; }

measure --model tiny-fast --preset d3llm --sweep threshold=0,0.05,0.1,0.5
measure --model tiny-ar --preset ar
measure --model tiny-fast --preset dparallel --cache dual --sweep threshold=0.05,0.1,0.5
measure --model tiny --preset d3llm --sweep threshold=0.05,0.1,0.2
measure --model tiny --preset fast-dllm --sweep threshold=0.98,0.95,0.9
measure --model tiny --preset vanilla
measure --model tiny --preset dparallel --cache dual --sweep threshold=0.05,0.1,0.2
unmask leaderboard "$out/records.jsonl" --out "$out"
gzip -n -9 -k -f "$out/records.jsonl"
