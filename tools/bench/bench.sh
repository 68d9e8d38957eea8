#!/usr/bin/env bash
# bench.sh PYTHON [PHOTOS]: thaw against PyTorch on this machine, side by side; prints a table in Markdown.
#
# PYTHON has torch and torchvision. PHOTOS holds class folders in train/ and val/; without it, pictures are drawn.
# ROUNDS=N (5) rounds are interleaved, so that whatever else the machine does meets both; the table has their medians.
# Measures with one thread are pinned to one core, loader included. Nothing else should run.
set -eu -o pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
fi
python=$(command -v "$1")
photos=${2:+$(realpath "$2")}
rounds=${ROUNDS-5}
cd "$(dirname "$0")/../.."
tools=$PWD/tools/bench
. tools/mpi-env.sh

cmake --preset release >/dev/null
cmake --build --preset release --target thaw bench_loader bench_weights >/dev/null
export PATH=$PWD/build/release:$PWD/build/release/tools/bench:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export THAW_CACHE=$work/cache

on() { # THREADS COMMAND...: on one core when one thread is asked for
    local threads=$1
    shift
    if [ "$threads" = 1 ]; then taskset -c 0 "$@"; else "$@"; fi
}

torch() { # THREADS ARGUMENTS...
    on "$1" "$python" "$tools/torch_bench.py" "${@:2}" --threads "$1"
}

# How long a command takes from its start to its end. The second time counts: the first one brings its files into the
# page cache, and pages into a virtual machine that gives back what it does not use.
seconds() { # COMMAND...
    "$@" >/dev/null
    local begun=$EPOCHREALTIME
    "$@" >/dev/null
    echo "$begun $EPOCHREALTIME" | awk '{printf "%.3f\n", $2 - $1}'
}

# Each measure prints one number.

thaw_steps() { # THREADS SED-EXPRESSION: of the line that tells speed and memory
    on "$1" thaw train job.yaml --steps 6 --set threads="$1" | sed -n "s/^start to first step.*$2.*/\\1/p"
}
train_thaw() { thaw_steps "$1" 'then \([0-9.]*\) img'; }
train_torch() { torch "$1" train | cut -d ' ' -f 1; }

memory_thaw() { thaw_steps "$1" 'memory \([0-9]*\) MiB'; }
memory_torch() { torch "$1" train --steps 2 | cut -d ' ' -f 2; }

eval_thaw() {
    on "$1" thaw eval job.yaml -c runs/job/best.h5 --set threads="$1" | sed -n 's/.* \([0-9.]*\) img.*/\1/p'
}
eval_torch() { torch "$1" eval; }

loader_thaw() { bench_loader 'data/train-*.h5'; }
loader_torch() { torch "$(nproc)" loader --photos "$photos/train"; }

distort_thaw() { on 1 bench_loader 'data/train-*.h5' 224 usual; }
distort_torch() { torch 1 distort --photos "$photos/train" --distortion usual; }

start_thaw() { seconds thaw train job.yaml --steps 1 --set batch=4; }
start_torch() { seconds torch "$(nproc)" start --photos "$photos/train" --batch 4; }

cold_thaw() { THAW_CACHE='' start_thaw; }
cold_torch() { start_torch; }

weights_thaw() { bench_weights resnet50.pth resnet50 1000; }
weights_torch() { torch "$(nproc)" weights --file resnet50.pth --arch resnet50; }

# Of the pictures that are listed, on all cores. The second time counts, as for starts.
predict_thaw() { seconds sh -c 'thaw predict -c resnet18.pth --json - <photos.txt'; }
predict_torch() {
    seconds sh -c "'$python' '$tools/torch_bench.py' predict --file resnet18.pth --threads $(nproc) <photos.txt"
}

# NAME|ARGUMENT|what the table says|+ if more is better, - if less is
measures=(
    "train|1|training all layers, 1 thread, img/s|+"
    "train|2|training all layers, 2 threads, img/s|+"
    "eval|1|evaluation, 1 thread, img/s|+"
    "eval|2|evaluation, 2 threads, img/s|+"
    "loader||loader, 1 thread, img/s|+"
    "distort||the same with rotation, colours, blur, erasing, img/s|+"
    "start||start to end of the first step, batch 4, s|-"
    "cold||the same, convolutions not timed before, s|-"
    "weights||.pth of a ResNet-50 to parameters, ms|-"
    "predict||predict, from a list of pictures to JSON, s|-"
    "memory|2|peak memory of training, 2 threads, MiB|-"
)

prepare() {
    if [ -z "$photos" ]; then
        photos=$work/photos
        thaw demo "$photos" --size 500 --train 80 --val 20
    fi
    thaw pack "$photos" -o data
    find "$photos" -name '*.jpg' | sort >photos.txt
    for arch in resnet18 resnet50; do
        torch 1 save --file $arch.pth --arch $arch
    done
    cat >job.yaml <<END
model: {arch: resnet18}
data: {train: data/train-*.h5, val: data/val-*.h5, crop: 224}
epochs: 10
batch: 32
END
    thaw train job.yaml --set epochs=1
    for threads in 1 2; do # the layers' implementations are timed once
        train_thaw $threads
        eval_thaw $threads
    done
    start_thaw
}

median() { # FILE
    sort -g "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

prepare >&2
for ((round = 1; round <= rounds; round++)); do
    for measure in "${measures[@]}"; do
        IFS='|' read -r name argument _ <<<"$measure"
        for who in thaw torch; do
            printf 'round %d: %s %s %s\n' "$round" "$name" "$argument" "$who" >&2
            "${name}_$who" "$argument" >>"$name$argument.$who"
        done
    done
done

processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
onednn=$(thaw --version | sed -n 's/^device  cpu *//p')
pytorch=$("$python" -c 'import torch; print(torch.__version__)')
printf '%s, %d of its cores, %s; %s, PyTorch %s; ResNet-18, 224 px, batch 32, fp32; medians of %d rounds\n\n' \
    "$processor" "$(nproc)" "$(date +%F)" "$onednn" "$pytorch" "$rounds"
printf '| measure | thaw | PyTorch | ratio |\n|---|---|---|---|\n'
for measure in "${measures[@]}"; do
    IFS='|' read -r name argument title better <<<"$measure"
    ours=$(median "$name$argument.thaw")
    theirs=$(median "$name$argument.torch")
    awk -v t="$title" -v a="$ours" -v b="$theirs" -v better="$better" \
        'BEGIN {printf "| %s | %.5g | %.5g | %.2fx |\n", t, a, b, better == "+" ? a / b : b / a}'
done
