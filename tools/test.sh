#!/usr/bin/env bash
# test.sh: all that a change has to pass, on a fresh clone as well: build without warnings, all tests, most of those that
# need no ranks under the address and undefined-behaviour sanitizers, the loader under the thread sanitizer, a short
# search with the fuzz targets (where there is clang), and the rules of including.
set -u
cd "$(dirname "$0")/.." || exit
. tools/mpi-env.sh
export THAW_CACHE=$PWD/build/cache # what timing finds stays out of the home folder

# GCC 14 misplaces 64-byte vectors in the frames that this check moves to the heap (GCC bug 110027).
export ASAN_OPTIONS=detect_stack_use_after_return=0
export LSAN_OPTIONS=suppressions=$PWD/tests/leaks.txt:print_suppressions=0

results=()
failed=0

# step NAME COMMAND...: runs it, and keeps for the summary whether it succeeded and how long it took.
step() {
    local name=$1 begun=$SECONDS verdict=passed
    shift
    printf '\n--- %s\n' "$name"
    "$@"
    case $? in
    0) ;;
    77) verdict=skipped ;;
    *) verdict=FAILED failed=1 ;;
    esac
    results+=("$(printf '%-9s %4d s  %s' "$verdict" $((SECONDS - begun)) "$name")")
    [ $verdict = passed ]
}

build() { # PRESET FOLDER "TARGETS" CMAKE-OPTIONS...
    cmake --preset "$1" -B "build/$2" -DTHAW_WERROR=ON -DTHAW_FAULTS=ON "${@:4}" >build/configure.log ||
        { cat build/configure.log; return 1; }
    # shellcheck disable=SC2086
    cmake --build "build/$2" --target $3
}

run_tests() { # FOLDER CTEST-OPTIONS...
    local folder=$1 report=$PWD/build/$1/tests.xml
    shift
    rm -f "$report"
    ctest --test-dir "build/$folder" --output-on-failure --no-tests=error -j 3 --output-junit "$report" "$@" # many of them wait
}

# "NAME: 40 passed, 1 skipped, 0 failed" from what CTest reported.
count() { # FOLDER NAME
    local report=build/$1/tests.xml all bad skipped
    [ -f "$report" ] || return
    all=$(grep -c '<testcase ' "$report")
    bad=$(grep -c '<testcase .*status="fail"' "$report")
    skipped=$(grep -c '<testcase .*status="\(notrun\|disabled\)"' "$report")
    echo "$2: $((all - bad - skipped)) passed, $skipped skipped, $bad failed"
}

mkdir -p build
rm -f build/*/tests.xml
step "packages" tools/deps.sh
step "build" build release release all && step "tests" run_tests release
# Left out: what takes minutes there and runs no other code than the rest.
step "build with sanitizers" build sanitize sanitize "tests/unit/all tests/sim/all tests/ops/all tests/golden/all tests/fuzz/all" &&
    step "tests with sanitizers" run_tests sanitize -L 'unit|sim|ops|golden|fuzz' \
        -E '^(net_golden_test_(reference|winograd|sim.*)|op_parity_test(_winograd|_sim|_sim_bf16|_sim_statistics)?|sim\..*_test)$'
step "build with the thread sanitizer" build sanitize threads loader_test -DTHAW_SANITIZE=thread &&
    step "loader with the thread sanitizer" run_tests threads -R '^loader_test$'
step "fuzzing" tools/fuzz.sh
step "headers and includes" tools/check_includes.sh

printf '\n'
printf '%s\n' "${results[@]}"
count release "tests"
count sanitize "tests with sanitizers"
count threads "loader with the thread sanitizer"
exit $failed
