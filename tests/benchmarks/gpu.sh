#!/usr/bin/env bash
# What only a GPU can show, within ten minutes, on a machine with an H100 or H200 and no network. It needs Linux on
# x86-64, Python 3.12 with pip, torch with CUDA, and torchvision. Where there is a network, gather the rest (build/gpu):
#
#     python tests/benchmarks/gpu_wheels.py          # 67 MB; 9 MB with --there scipy scikit-learn pandas, if it has them
#
# Carry the checkout there, build/gpu included, and call
#
#     bash tests/benchmarks/gpu.sh RESULTS           # --only time: these steps alone; --device cpu: a small rehearsal
#
# It prints a line for each step, and RESULTS/summary.json says the same; the exit code is 0 if every step passed.
#
#     tests      tests/test_cuda.py
#     graphs     graphs.json      CUDA graphs against eager iterations, every arch x loss: bits and speed
#     wide-...   wide.jsonl       ganbench time in bf16 on wide networks: the share of the GPU's peak
#     textbook   textbook.json    our loop against the usual public one at 32 and 64 pixels
#     at-once    at-once.json     four runs at once against one alone: images per second
#     row        row.json         the record of a run of digits-64-v1, as far as it comes
#     time-...   timings.jsonl    timing records of the published tables, as many as there is time for
set -eu
results=$(realpath -m "${1:?the folder for results}")
shift
cd "$(dirname "$0")/../.."
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-index --no-deps --target "$site" build/gpu/*.whl
# The wheel is meant, not the checkout: nothing is imported from the working directory.
export PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
export PYTHONPATH="$site:$PWD/tests:$PWD/tests/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
python3 tests/benchmarks/gpu_steps.py "$results" "$@"
