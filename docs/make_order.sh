#!/usr/bin/env bash
# Draws the pictures of docs/decoding.md, light and dark: which forward wrote which token, by decoder
# (docs/order.svg), by schedule and by bar. Give it again whenever the built-in weights change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
question="Ben has 14 shells. He finds 9 shells. Then he doubles the number of shells. Later he loses 6 of \
the shells. How many shells does Ben have now?"
films=$(mktemp -d)
trap 'rm -rf "$films"' EXIT

film() { unmask generate --save "$films/$1" "${@:2}" "$question" >/dev/null; }
draw() { # picture, block length, title, trajectory ...
    for theme in light dark; do
        (cd "$films" && unmask plot heat "${@:4}" --names "${@:4}" --theme "$theme" --title "$3" \
            --block-length "$2" --out "$OLDPWD/docs/$1$([ "$theme" = dark ] && echo -dark).svg")
    done
}

film autoregressive --model tiny-ar
film vanilla --model tiny --preset vanilla
film fast-dllm --model tiny --preset fast-dllm
film d3llm --model tiny --preset d3llm
film "d3llm, distilled" --model tiny-fast
draw order 16 "Which forward wrote which token?" \
    autoregressive vanilla fast-dllm d3llm "d3llm, distilled"

for schedule in left_to_right blocks pipelined whole; do
    film $schedule --model tiny --preset dparallel --threshold 0.1 --schedule $schedule
done
draw schedules 8 "One bar, four schedules" left_to_right blocks pipelined whole

for bar in 0 0.05 0.2 0.5 1; do
    film "bar $bar" --model tiny --preset d3llm --threshold $bar
done
draw bars 8 "One schedule, five bars (nats)" "bar 0" "bar 0.05" "bar 0.2" "bar 0.5" "bar 1"
