#!/usr/bin/env bash
# libraries_test.sh THAW: the program itself needs nothing of CUDA: it starts where there is none, and does not wait for its
# libraries where no GPU is used. Only the module beside it does.
. "$(dirname "$0")/lib.sh" "$@"

cuda='cuda|cudnn|cublas|nccl|nvrtc'
command -v objdump >/dev/null || { echo "skipped: no objdump"; exit 77; }

needed=$(objdump -p "$thaw" | awk '$1 == "NEEDED" { print $2 }')
[ -n "$needed" ] || fail "objdump finds no library that '$thaw' needs"
grep -E "lib($cuda)" <<<"$needed" && fail "the program needs libraries of CUDA"
objdump -T "$thaw" | awk '/\*UND\*/ { print $NF }' | grep -E "^($cuda)" && fail "the program wants symbols of CUDA"

module=$(dirname "$thaw")/thaw-cuda.so
if [ -e "$module" ]; then
    for library in cudnn nccl cudart cublasLt; do
        objdump -p "$module" | grep -q "NEEDED *lib$library\.so" || fail "the module does not name lib$library"
    done
fi
finish
