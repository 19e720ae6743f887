#!/usr/bin/env bash
# tiny -> tiny-fast. Give it a folder; give it again after an interruption.
#
# Sequential answers of tiny choose between two ways of writing at random, which no student can foresee, so
# that it could not write ahead. The first students therefore learn to write ahead as well as they
# can, answer the prompts themselves by pipelined decoding, and pass on those of their answers that are right: with
# every round the way of writing is more settled. They pay with their arithmetic, for they see
# 1,500 sums again and again. The last student starts from tiny once more and learns from 6,000 settled
# answers, and from sudokus of tiny itself so as not to forget them; at the end with no masks in sight but those
# of the blocks in flight, as it decodes.
set -euo pipefail
runs=${1:?"usage: recipes/distil/student.sh FOLDER"}
unmask=${UNMASK:-unmask}

timed() { # name, command ...
    local name=$1 before=$SECONDS
    shift
    "$@"
    printf '%s: %d s\n' "$name" $((SECONDS - before))
}
learn() { # name, weights to start from, steps, option ...
    local name=$1 from=$2 steps=$3
    shift 3
    timed "$name" "$unmask" distill --recipe student-tiny --model "$from" --out "$runs/$name" \
        --steps "$steps" --micro-batch 32 "$@"
}
answers() { # name, model, prompts, bar, block, cache
    timed "$1" "$unmask" harvest --task stories --model "$2" --count "$3" --preset d3llm \
        --threshold "$4" --block-length "$5" --cache "$6" --batch-size 64 --out "$runs/$1"
}

timed answers-0 "$unmask" harvest --task stories --model tiny --count 1500 --preset vanilla \
    --early-stop --cache dual --batch-size 64 --out "$runs/answers-0"
learn student-1 tiny 250 --data "$runs/answers-0" --set objectives.certainty=0
answers answers-1 "$runs/student-1/student" 1500 0.1 32 none
learn student-2 "$runs/student-1/student" 150 --data "$runs/answers-1"
answers answers-2 "$runs/student-2/student" 1500 0.1 16 none
learn student-3 "$runs/student-2/student" 250 --data "$runs/answers-2"
answers answers-3 "$runs/student-3/student" 6000 0.05 16 sliding
timed sudoku "$unmask" harvest --task sudoku --model tiny --count 1000 --preset vanilla --early-stop \
    --cache dual --block-length 16 --attempts 3 --batch-size 64 --out "$runs/sudoku"
learn student-4 tiny 320 --data "$runs/answers-3" "$runs/sudoku"
learn tiny-fast "$runs/student-4/student" 250 --data "$runs/answers-3" "$runs/sudoku" \
    --set depth=3 --set horizon=0 --set rate=7e-4
timed evaluation "$unmask" eval --task stories --count 500 --model "$runs/tiny-fast/student" \
    --preset d3llm --threshold 0.1 --block-length 16 --horizon 0 --batch-size 64 --out "$runs/tiny-fast.jsonl"
printf '%s\nall: %d s\n' "$runs/tiny-fast/student" "$SECONDS"
