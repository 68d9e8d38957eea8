#!/usr/bin/env bash
# faults_test.sh THAW: every call by which a run writes fails once, or is the last before a kill: what was whole stays
# whole, and the same command goes on to the same result.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 1
short=(--set 'phases=[{epochs: 1, train: [fc]}]')

# faulty AT HOW: a run in which call AT goes wrong
faulty() {
    env LD_PRELOAD="$helpers/libfaults.so" FAULTS_BELOW=runs/ FAULTS_AT="$1" FAULTS="$2" FAULTS_COUNT="$work/count" \
        "$thaw" train job.yaml "${short[@]}" >said 2>&1
}

# seconds and pictures a second are not part of the result
results() {
    sha256sum runs/small/last.h5 runs/small/best.h5
    rows runs/small
}

faulty -1 EIO || fail "without a fault: $(cat said)"
whole=$(results)
calls=$(cat count)
[ "$calls" -gt 25 ] || fail "only $calls calls are seen"

# after HOW AT GOT: what has to hold when the run ended with exit code GOT, and that it goes on
after() {
    local how=$1 at=$2 got=$3 file
    for file in runs/small/*.h5; do
        [ ! -e "$file" ] || "$thaw" show "$file" >shown 2>&1 || fail "$how at call $at: $(cat shown)"
    done
    "$thaw" train job.yaml "${short[@]}" >again 2>&1 || fail "$how at call $at ended with $got: $(cat said) THEN $(cat again)"
    [ "$(results)" = "$whole" ] || fail "$how at call $at: another result: $(diff <(results) <(echo "$whole"))"
    [ -z "$(find runs -name '*.tmp')" ] || fail "$how at call $at: $(find runs -name '*.tmp') stays"
}

for ((at = 0; at < calls; at++)); do
    for how in KILL ENOSPC; do
        [ $how = KILL ] || [ $((at % 2)) = 0 ] || continue # for time's sake: tests/unit/faults_test.c tries every one
        rm -rf runs
        { faulty $at $how; } 2>/dev/null
        got=$?
        case $how-$got in
            KILL-137 | ENOSPC-0) ;;
            ENOSPC-1)
                [ "$(grep -c "^thaw: .*'runs.*No space left on device" said)" = 1 ] || fail "no room at call $at: $(cat said)"
                [ -z "$(find runs -name '*.tmp' 2>/dev/null)" ] || fail "no room at call $at: $(find runs -name '*.tmp')"
                ;;
            *) fail "$how at call $at: exit code $got: $(cat said)" ;;
        esac
        after $how $at $got
    done
done
echo "$calls calls"
finish
