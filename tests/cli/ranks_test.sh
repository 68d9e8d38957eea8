#!/usr/bin/env bash
# ranks_test.sh THAW: ranks that hang, stop, die or leave: all are gone soon, the words say where it was, and the run
# goes on from its last checkpoint as if nothing had happened.
. "$(dirname "$0")/lib.sh" "$@"

"$thaw" train --help | grep -q -- --fault || { echo "skipped: built without -DTHAW_FAULTS=ON"; exit 77; }
small_job 1 1 2
printf 'replicas: 2\ntimeout: 2\n' >>job.yaml
"$thaw" train job.yaml --set name=whole >/dev/null 2>&1 || fail "a run that is left alone"
whole=$(results runs/whole)

# faulty RANKS FAULT WORDS: the run ends with a failure, says the words, leaves no process, and goes on
faulty() {
    local ranks=$1 fault=$2 words=$3 name=${2//[^a-z0-9]/-}-$1 got
    timeout 60 mpirun -n "$ranks" "$thaw" train job.yaml --set "name=$name" --fault "$fault" >said 2>&1
    got=$?
    [ $got != 0 ] && [ $got != 124 ] && [ $got != 75 ] || fail "$fault, $ranks ranks: exit code $got: $(cat said)"
    grep -qF -- "$words" said || fail "$fault, $ranks ranks: does not say '$words': $(cat said)"
    for _ in $(seq 50); do pgrep -f "set name=$name" >/dev/null || break; sleep 0.1; done
    ! pgrep -f "set name=$name" >/dev/null || fail "$fault, $ranks ranks: processes are left: $(pgrep -af "set name=$name")"
    expect 0 "best " mpirun -n "$ranks" "$thaw" train job.yaml --set "name=$name"
    [ "$(results "runs/$name")" = "$whole" ] || fail "$fault, $ranks ranks: another result"
}
faulty 1 hang@7 "rank 0: no progress for 2 s at step 7"
faulty 2 hang@7 "rank 0: no progress for 2 s at step 7, waiting for the other ranks' gradients"
faulty 2 hang:0@12 "rank 1: no progress for 2 s at step 12, waiting for the other ranks' gradients"
faulty 2 stop@9 "rank 0: no progress for 2 s at step 9, waiting for the other ranks' gradients"
faulty 2 kill@8 "signal 9 (Killed)"
faulty 2 kill:0@1 "signal 9 (Killed)"
faulty 2 segv@6 "signal 11"
faulty 2 leave@11 ""
grep -q "rank 0: no progress" runs/hang-7-2/log.txt || fail "log.txt does not tell of the hang"

# steps without a finite gradient: the run ends, or leaves out as many as it may, on every number of ranks the same
expect 76 "epoch 3, step 2: the gradient of 'conv1.weight' is not finite; a lower optimizer.lr may help" mpirun -n 2 "$thaw" train job.yaml --set name=nan --fault gradient@12
expect 76 "epoch 3, step 2: the gradient of 'conv1.weight' is not finite; a lower optimizer.lr may help" mpirun -n 2 "$thaw" train job.yaml --set name=nan-clipped --set optimizer.clip=1 --fault gradient@12
expect 0 "epoch 3, step 2: the gradient of 'conv1.weight' is not finite: the step is left out, 1 of 1" \
    "$thaw" train job.yaml --set name=skip --set max_skipped=1 --fault gradient@12
expect 0 "1 of 1 that may be" mpirun -n 2 "$thaw" train job.yaml --set name=skip2 --set max_skipped=1 --fault gradient@12
[ "$(results runs/skip)" = "$(results runs/skip2)" ] || fail "a step left out differs between ranks"
[ "$(results runs/skip)" != "$whole" ] || fail "a step that was left out changes nothing"
expect 76 "epoch 2: all its steps were left out" "$thaw" train job.yaml --set name=empty --set max_skipped=99 \
    --set 'phases=[{epochs: 4, train: all, batch: 65}]' --fault gradient@2
expect 76 "epoch 2: the validation loss is nan" "$thaw" train job.yaml --set name=worst --fault validation@10
[ "$(wc -l <runs/worst/metrics.csv)" = 2 ] || fail "an epoch without a loss has a row"

expect 2 "--fault nothing@3: there are hang" "$thaw" train job.yaml --set name=none --fault nothing@3
expect 2 "--fault hang: wanted is NAME@STEP" "$thaw" train job.yaml --set name=none --fault hang
[ ! -e runs/none ] || fail "a fault that is none began a run"

# a process that was stopped as a whole goes on: the time does not count
"$thaw" train job.yaml --set name=paused >said 2>&1 &
sleep 0.3
kill -STOP $!
sleep 4
kill -CONT $!
wait $! || fail "paused: exit code $?: $(cat said)"
[ "$(results runs/paused)" = "$whole" ] || fail "paused: another result"

finish
