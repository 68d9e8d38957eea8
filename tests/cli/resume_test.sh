#!/usr/bin/env bash
# resume_test.sh THAW: a run that is killed or stopped, whenever and however, and started again with any number of ranks, ends
# with the bytes of one that was left alone. ALL=1 kills a longer run a hundred times.
. "$(dirname "$0")/lib.sh" "$@"

small_job 3 5 12
echo "replicas: 4" >>job.yaml

"$thaw" train job.yaml --set name=whole >/dev/null 2>&1 || fail "a run that is left alone"
whole=$(results runs/whole)

# --- killed, anywhere ------------------------------------------------------------------------------------------------------

RANDOM=7

# killed TIMES NAME WHOLE OPTIONS...: a run that is killed so often, or until it is through, has the results WHOLE
killed() {
    local times=$1 name=$2 want=$3 kills=0 choices=(1 2 4) ranks
    shift 3
    for ((try = 0; try < 20 * times && kills < times; try++)); do
        begin "${choices[RANDOM % 3]}" --set "name=$name" "$@"
        sleep "0.$((100 + RANDOM % 700))"
        mapfile -t ranks < <(ranks_of $launcher)
        case $((RANDOM % 3)) in
            0) kill -9 "${ranks[@]}" $launcher 2>/dev/null ;;
            1) kill -9 "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null ;;
            2) kill -9 $launcher 2>/dev/null ;;
        esac
        wait $launcher 2>/dev/null
        case $? in
            0) break ;;
            2) grep -q "is in use by process" said || { fail "refused: $(cat said)"; break; } ;; # a rank outlives its launcher a moment
            *) kills=$((kills + 1)) ;;
        esac
    done
    "$thaw" train job.yaml --set "name=$name" "$@" >said 2>&1
    for _ in $(seq 50); do # what was killed last may take a moment to go
        grep -q "is in use by process" said || break
        sleep 0.2
        "$thaw" train job.yaml --set "name=$name" "$@" >said 2>&1
    done
    [ $kills -ge 3 ] || fail "$name: only $kills kills"
    [ "$(results "runs/$name")" = "$want" ] ||
        fail "$name, killed $kills times, another result: $(diff <(results "runs/$name") <(echo "$want"))"
    [ -z "$(find "runs/$name" -name '*.tmp')" ] || fail "$name: temporary files stay: $(ls "runs/$name")"
    echo "$name: killed $kills times"
}
killed 8 killed "$whole"

kills=6
[ -z "${ALL-}" ] || kills=100
long=$((kills / 6))

# with everything that keeps something from step to step, or has another rate in each
rich=(--set optimizer.kind=adamw --set optimizer.lr=0.01 --set optimizer.clip=1 --set 'optimizer.lr_scale={layer3: 0.5}'
    --set schedule.kind=one_cycle --set schedule.warmup=1.5 --set loss.smoothing=0.1 --set loss.class_weights=balanced
    --set "phases=[{epochs: $((4 * long)), train: fc}, {epochs: $((6 * long)), train: [layer3, fc], batch: 11},
        {epochs: $((6 * long)), train: all, restart: true}]"
    --set early_stopping.patience=$((15 * long)) --set checkpoint.metric=loss --set average.decay=0.95)
"$thaw" train job.yaml --set name=rich-whole "${rich[@]}" >/dev/null 2>&1 || fail "adamw, left alone"
killed "$kills" rich "$(results runs/rich-whole)" "${rich[@]}"

# --- asked to stop ---------------------------------------------------------------------------------------------------------

# stopped SIGNAL RANKS: stops a run three times, then lets it end
stopped() {
    local signal=$1 ranks=$2 name=stopped-$1-$2 stops=0 rank got=75
    while [ $got = 75 ]; do
        begin "$ranks" --set "name=$name"
        rank=$(one_that_listens $launcher)
        sleep "0.$((100 + RANDOM % 300))"
        [ -z "$rank" ] || [ $stops -ge 3 ] || kill "-$signal" "$rank" 2>/dev/null
        wait $launcher
        got=$?
        [ $got != 75 ] || stops=$((stops + 1))
        [ $got != 75 ] || grep -q "the same command goes on from there" said || fail "no word of the stop: $(cat said)"
    done
    [ $got = 0 ] || fail "signal $signal, $ranks ranks: exit code $got: $(cat said)"
    [ $stops -ge 1 ] || fail "signal $signal, $ranks ranks: never stopped"
    [ "$(results "runs/$name")" = "$whole" ] || fail "stopped $stops times by $signal, another result"
}
stopped TERM 1
stopped HUP 1
stopped INT 2
stopped USR2 4

# --- by the clock, kept, another signal --------------------------------------------------------------------------------------

# a checkpoint after every step: none of it changes the result, nor does what a start may change
begin 2 --set name=clock --set checkpoint.minutes=1e-6 --set checkpoint.keep=2 --set checkpoint.every=3 \
    --set checkpoint.signal=USR1
rank=$(one_that_listens $launcher)
until [ -e runs/clock/last.h5 ] || ! kill -0 $launcher 2>/dev/null; do sleep 0.02; done
kill -USR1 "$rank" 2>/dev/null
wait $launcher
[ $? = 75 ] || fail "USR1 as the signal: $(cat said)"
begin 2 --set name=early --set checkpoint.signal=USR1 # before the job is read, perhaps
kill -USR1 "$(one_that_listens $launcher)"
wait $launcher
[ $? = 75 ] || fail "USR1 as the signal, early: $(cat said)"
expect 0 "going on from runs/clock/last.h5" "$thaw" train job.yaml --set name=clock --set checkpoint.keep=2 \
    --set checkpoint.every=3 --set timeout=50 --set data.threads=1
[ "$(results runs/clock)" = "$whole" ] || fail "with checkpoints by the clock: another result"
[ "$(cd runs/clock && echo epoch-*)" = "epoch-0015.h5 epoch-0018.h5 epoch-0020.h5" ] || fail "kept: $(ls runs/clock)"
[ "$("$thaw" show runs/clock/epoch-0020.h5 | tail -n +2)" = "$("$thaw" show runs/clock/last.h5 | tail -n +2)" ] || fail "epoch-0020.h5 is not last.h5"
"$thaw" show runs/clock/epoch-0018.h5 | grep -q "epoch  *18, " || fail "epoch-0018.h5 is not of epoch 18"
# what is too old goes, however it came to be there; what has another name stays
cp runs/clock/last.h5 runs/clock/epoch-0003.h5
cp runs/clock/last.h5 runs/clock/epoch-0003.h5.mine
expect 0 "is finished" "$thaw" train job.yaml --set name=clock --set checkpoint.keep=1 --set checkpoint.every=3
[ "$(cd runs/clock && echo epoch-*)" = "epoch-0003.h5.mine epoch-0018.h5 epoch-0020.h5" ] || fail "kept: $(ls runs/clock)"

# where it goes on with other code, that is said
expect 75 "" "$thaw" train job.yaml --set name=elsewhere --fault term@22
expect 0 "elsewhere/last.h5' was written by thaw " env ONEDNN_MAX_CPU_ISA=SSE41 "$thaw" train job.yaml --set name=elsewhere
grep -q ", what goes on is thaw .* sse41, .*: numbers may round otherwise from here on" said || fail "no word of the code: $(cat said)"

# killed before a checkpoint had its other name, the next start gives it
rm runs/clock/epoch-0020.h5
expect 0 "is finished" "$thaw" train job.yaml --set name=clock --set checkpoint.keep=2 --set checkpoint.every=3
cmp runs/clock/epoch-0020.h5 runs/clock/last.h5 || fail "the last checkpoint is not kept after all"
expect 75 "" "$thaw" train job.yaml --set name=kept --set checkpoint.keep=3 --fault term@22
[ "$(cd runs/kept && echo epoch-*)" = "epoch-0002.h5 epoch-0003.h5 epoch-0004.h5" ] || fail "kept: $(ls runs/kept)"

begin 1 --set name=deadly
rank=$(one_that_listens $launcher)
kill -USR1 "$rank"
wait $launcher 2>/dev/null
[ $? = 138 ] || fail "a signal that was not asked for"

# killed in the midst of an epoch, what was done of it is not lost
begin 1 --set name=midst --set 'phases=[{epochs: 1, train: all, batch: 1}]' --set replicas=1 --set checkpoint.minutes=1e-6
one_that_listens $launcher >/dev/null
sleep 0.4
kill -9 $launcher
wait $launcher 2>/dev/null
step=$("$thaw" show runs/midst/last.h5 | sed -n 's/^ *epoch *0, step //p')
[ "${step:-0}" -gt 3 ] || fail "killed in the midst of an epoch, last.h5 stands at step ${step:-none}"

# under nohup a run outlives its terminal
(trap '' HUP; exec "$thaw" train job.yaml --set name=hup) >said 2>&1 &
launcher=$!
rank=$(one_that_listens $launcher)
kill -HUP $launcher
wait $launcher || fail "SIGHUP, though it is ignored: $(cat said)"

# the second of two signals does not wait: both are there when the process wakes up
begin 1 --set name=twice
one_that_listens $launcher >/dev/null
kill -STOP $launcher
kill -INT $launcher
kill -TERM $launcher
kill -CONT $launcher
wait $launcher
got=$?
[ $got = 143 ] || [ $got = 130 ] || fail "two signals: exit code $got: $(cat said)"
"$thaw" train job.yaml --set name=twice >/dev/null 2>&1
[ "$(results runs/twice)" = "$whole" ] || fail "after two signals: another result"

finish
