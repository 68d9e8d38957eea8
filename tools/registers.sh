#!/usr/bin/env bash
# registers.sh [BUILD]: what the compiler made of each CUDA kernel, as the table of docs/kernels.md.
#
# BUILD (build/release) has been built with CUDA; ptxas's notes stand beside the objects there. Exit code 1 where a kernel
# spills, 77 where there are no notes.
set -eu
cd "$(dirname "$0")/.."

shopt -s nullglob
notes=("${1-build/release}"/nn/cuda/*.o.txt)
if [ ${#notes[@]} = 0 ]; then
    echo "registers.sh: '${1-build/release}' was built without CUDA" >&2
    exit 77
fi

awk '
    / Compiling entry function / { split($0, part, "\047"); kernel = part[2]; gpu = part[4]; sub(/^thaw_kernel_/, "", kernel) }
    / bytes spill stores/ && !/ 0 bytes spill stores, 0 bytes spill loads/ { print kernel " spills" >"/dev/stderr"; spilt = 1 }
    / Used [0-9]+ registers/ {
        for (i = 1; i <= NF; i++) {
            if ($(i + 1) ~ /^registers/) registers[kernel, gpu] = $i
            if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared[kernel] = $i
        }
        kernels[kernel]; gpus[gpu]
    }
    END {
        head = "| kernel |"; line = "|---|"
        count = 0
        for (gpu in gpus) names[++count] = gpu
        for (i = 1; i < count; i++) for (k = i + 1; k <= count; k++)
            if (names[k] < names[i]) { gpu = names[i]; names[i] = names[k]; names[k] = gpu }
        for (i = 1; i <= count; i++) { head = head " " names[i] " |"; line = line "---|" }
        print head " shared memory, bytes |"; print line "---|"
        for (kernel in kernels) {
            row = "| " kernel " |"
            for (i = 1; i <= count; i++) row = row " " registers[kernel, names[i]] " |"
            print row " " shared[kernel] + 0 " |" | "sort"
        }
        close("sort")
        exit spilt
    }' "${notes[@]}"
