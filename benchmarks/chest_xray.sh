#!/usr/bin/env bash
# Trains a small model on one half of the patients of Chest-Xray and diagnoses it on the other half.
# Usage: benchmarks/chest_xray.sh DATA_ROOT OUT
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
.venv/bin/python -m medprobe.fixtures.phantoms.train --out "$out/chest-model" --views 3 --data-root "$data" \
    --dataset benchmarks/chest-xray-train.toml --held-out benchmarks/chest-xray-held-out.toml
.venv/bin/pytest --model "$out/chest-model" --dataset benchmarks/chest-xray-held-out.toml \
    --data-root "$data" --report-dir "$out/report"
