#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET...]]: searches for input that thaw cannot bear, ten seconds for each target (job, shard,
# checkpoint, image, weights), two at a time. Needs clang with libFuzzer; exit code 77 without.
#
# What is found stands in build/fuzz/found/ and makes exit code 1; what leads to new code is kept in build/fuzz/corpus/,
# so that the next search goes on from there. A finding that was mended belongs into tests/fuzz/corpus/TARGET/.
set -u
cd "$(dirname "$0")/.." || exit
seconds=${1-10}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(job shard checkpoint image weights)

if ! echo 'int LLVMFuzzerTestOneInput(const char *b, long l) { return b && l ? 0 : 0; }' |
    clang -x c -fsanitize=fuzzer - -o /dev/null 2>/dev/null; then
    echo "skipped: no clang with libFuzzer (apt-get install clang)"
    exit 77
fi
mkdir -p build/fuzz/found
{ cmake --preset fuzz && cmake --build --preset fuzz; } >build/fuzz/build.log || { cat build/fuzz/build.log; exit 1; }

# An input may take ten seconds by the clock, of a machine that others use as well, and no block may be over 64 MiB, but
# for pictures, which may have 2^28 pixels: 768 MiB.
search() { # TARGET
    local limits=(-timeout=10 -malloc_limit_mb=64 -rss_limit_mb=1024) seeds=("tests/fuzz/corpus/$1")
    if [ "$1" = image ]; then
        limits=(-timeout=10 -malloc_limit_mb=1024 -rss_limit_mb=4096)
        seeds+=(tests/golden/pictures)
    fi
    mkdir -p "build/fuzz/corpus/$1"
    ASAN_OPTIONS=detect_stack_use_after_return=0 "build/fuzz/tests/fuzz/$1_fuzz" "${limits[@]}" -max_len=65536 \
        "-max_total_time=$seconds" "-artifact_prefix=build/fuzz/found/$1-" "build/fuzz/corpus/$1" "${seeds[@]}" \
        >"build/fuzz/$1.log" 2>&1 || { echo "$1: found"; tail -n 60 "build/fuzz/$1.log"; return 1; }
    echo "$1: nothing found in $(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 runs, \2 s/p' "build/fuzz/$1.log")"
}

failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
    pids=()
    for target in "${targets[@]:i:2}"; do
        search "$target" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
done
exit $failed
