#!/usr/bin/env bash
# test.sh: all that a change has to pass, on a fresh clone as well: build without warnings, all tests, the unit tests
# under the address and undefined-behaviour sanitizers, and the rules of including.
set -u
cd "$(dirname "$0")/.." || exit
. tools/mpi-env.sh
export THAW_CACHE=$PWD/build/cache # what timing finds stays out of the home folder

results=()
failed=0

# step NAME COMMAND...: runs it, and keeps for the summary whether it succeeded and how long it took.
step() {
    local name=$1 begun=$SECONDS verdict=passed
    shift
    printf '\n--- %s\n' "$name"
    if ! "$@"; then
        verdict=FAILED
        failed=1
    fi
    results+=("$(printf '%-9s %4d s  %s' "$verdict" $((SECONDS - begun)) "$name")")
    [ $verdict = passed ]
}

build() { # PRESET TARGET
    cmake --preset "$1" -DTHAW_WERROR=ON >build/configure.log || { cat build/configure.log; return 1; }
    cmake --build --preset "$1" --target "$2"
}

run_tests() { # PRESET CTEST-OPTIONS...
    local preset=$1 report=$PWD/build/$1/tests.xml
    shift
    rm -f "$report"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j 2 --output-junit "$report" "$@"
}

# "NAME: 40 passed, 1 skipped, 0 failed" from what CTest reported.
count() { # PRESET NAME
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
step "build" build release all && step "tests" run_tests release
step "build with sanitizers" build sanitize tests/unit/all && step "unit tests with sanitizers" run_tests sanitize -L unit
step "headers and includes" tools/check_includes.sh

printf '\n'
printf '%s\n' "${results[@]}"
count release "tests"
count sanitize "unit tests with sanitizers"
exit $failed
