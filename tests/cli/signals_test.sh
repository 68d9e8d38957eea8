#!/usr/bin/env bash
# signals_test.sh THAW: a signal at each place in a run's life, on one of 1, 2 or 4 ranks: a checkpoint and exit code 75,
# or 0 when the run was over; started again, the run ends with the bytes of one that was left alone. ALL=1 tries every
# signal at every place with every number of ranks, not each pair of them once.
. "$(dirname "$0")/lib.sh" "$@"

"$thaw" train --help | grep -q -- --fault || { echo "skipped: built without -DTHAW_FAULTS=ON"; exit 77; }
small_job 1 1 1
echo "replicas: 4" >>job.yaml
"$thaw" train job.yaml --set name=whole >/dev/null 2>&1 || fail "a run that is left alone"
whole=$(results runs/whole)

# signalled RANKS FAULT CODE: the run ends with the code, and is whole after the next start
signalled() {
    local ranks=$1 fault=$2 code=$3 name=${2//[^a-z0-9]/-}-$1 got
    local launcher=(mpirun -n "$ranks")
    [ "$ranks" != 1 ] || launcher=()
    timeout 60 "${launcher[@]}" "$thaw" train job.yaml --set "name=$name" --fault "$fault" >said 2>&1
    got=$?
    [ $got = "$code" ] || fail "$fault, $ranks ranks: exit code $got, want $code: $(cat said)"
    [ $got != 75 ] || grep -q "the same command goes on from there" said || fail "$fault: no word of the stop: $(cat said)"
    [ -z "$(find "runs/$name" -name '*.tmp')" ] || fail "$fault: temporary files stay"
    expect 0 "" "${launcher[@]}" "$thaw" train job.yaml --set "name=$name"
    [ "$(results "runs/$name")" = "$whole" ] || fail "$fault, $ranks ranks: another result"
    runs=$((runs + 1))
}

# 65 pictures in batches of 16, in the last phase of 12: phases end after steps 5, 10 and 16
ranks=(1 2 4)
runs=0
turn=0
for signal in term int usr2; do
    for place in start:0 3 phase:5 validation:10 checkpoint:10 validation:16 checkpoint:16 end:16; do
        case $place in
            checkpoint:16 | end:16) code=0 ;;
            *) code=75 ;;
        esac
        turn=$((turn + 1))
        for ((i = 0; i < 3; i++)); do
            [ "${ALL-}" ] || [ $((turn % 3)) = $i ] || continue
            at=$signal@$place
            [ "$place" != start:0 ] && [ "$place" != validation:10 ] || at=$signal:$((turn % ranks[i]))@$place # one rank alone
            signalled "${ranks[i]}" "$at" "$code"
        done
    done
done
echo "$runs runs"
expect 2 "wanted is NAME@STEP" "$thaw" train job.yaml --set name=none --fault term@lunch:3
[ ! -e runs/none ] || fail "a fault that is none began a run"
finish
