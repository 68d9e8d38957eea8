#!/usr/bin/env bash
# resume_test.sh THAW-SIM: a run on simulated GPUs that is killed or stopped, somewhere, and started again ends with the bytes
# of one that was left alone.
. "$(dirname "$0")/lib.sh" "$@"

"$thaw" train --help | grep -q -- --fault || { echo "skipped: built without -DTHAW_FAULTS=ON"; exit 77; }
sim_job 3

# with everything that keeps something from step to step: slots, counts of updates, an average, steps that were left out
rich=(--set optimizer.kind=adamw --set optimizer.lr=0.0002 --set average.decay=0.9 --set loss.class_weights=balanced
    --set precision=fp16 --set schedule.kind=cosine --set checkpoint.minutes=1e-6
    --set 'phases=[{epochs: 2, train: [layer3, fc]}, {epochs: 2, train: all, batch: 10}]')
trained 1 whole "${rich[@]}"
trained 2 whole-two "${rich[@]}"

# ended CODE FAULT RANKS NAME OPTIONS...: the fault ends a run so
ended() {
    local want=$1 fault=$2 got
    shift 2
    train "$@" --fault "$fault" 2>/dev/null # where bash tells that it was killed
    got=$?
    [ "$got" = "$want" ] || { [ "$want" = any ] && [ $got != 0 ]; } || fail "$*: $fault: exit code $got, want $want: $(cat said)"
    for _ in $(seq 100); do pgrep -f "$thaw .*set name=$2 " >/dev/null || break; sleep 0.05; done
}

# goes_on RANKS NAME WHOLE OPTIONS...: the same command goes on to the same end
goes_on() {
    local ranks=$1 name=$2 whole=$3
    shift 3
    trained "$ranks" "$name" "${rich[@]}" "$@"
    grep -q "^.*going on from runs/$name/last.h5" said || fail "$name began anew: $(cat said)"
    same "runs/$name" "runs/$whole"
}

# an epoch has three steps
ended any kill@5 1 killed "${rich[@]}"
ended 75 term@8 1 killed "${rich[@]}"
ended any kill@11 1 killed "${rich[@]}"
goes_on 1 killed whole
ended any kill@4 2 killed-two "${rich[@]}"     # the last rank
ended any kill:0@7 2 killed-two "${rich[@]}"   # the first
ended 75 usr2:0@9 2 killed-two "${rich[@]}"    # behind an epoch's last step: what comes first is the average
goes_on 2 killed-two whole-two
ended 75 usr2@5 2 no-picture "${rich[@]}" # what comes first then is a batch of one picture: another rank's
goes_on 2 no-picture whole-two
ended any kill@validation:6 2 at-validation "${rich[@]}"
goes_on 2 at-validation whole-two

# begun on two ranks, gone on with by one, and the other way round
ended 75 usr2:1@5 2 fewer --set comm=mpi "${rich[@]}"
goes_on 1 fewer whole --set comm=mpi
ended any kill@10 1 more --set comm=mpi "${rich[@]}"
goes_on 2 more whole --set comm=mpi

finish
