#!/usr/bin/env bash
# Draws docs/order.svg and its dark twin: which forward wrote which token, five decoders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
question="Ben has 14 shells. He finds 9 shells. Then he doubles the number of shells. Later he loses 6 of \
the shells. How many shells does Ben have now?"
films=$(mktemp -d)
trap 'rm -rf "$films"' EXIT

film() { unmask generate --save "$films/$1" "${@:2}" "$question" >/dev/null; }
film autoregressive --model tiny-ar
film vanilla --model tiny --preset vanilla
film fast-dllm --model tiny --preset fast-dllm
film d3llm --model tiny --preset d3llm
film distilled --model tiny-fast

cd "$films"
for theme in light dark; do
    unmask plot heat autoregressive vanilla fast-dllm d3llm distilled --theme "$theme" \
        --out "$OLDPWD/docs/order$([ "$theme" = dark ] && echo -dark).svg" --block-length 16 \
        --title "Which forward wrote which token?" \
        --names autoregressive vanilla fast-dllm d3llm "d3llm, distilled"
done
