#!/usr/bin/env bash
# owner_test.sh THAW: one run at a time has a run folder, and a run that cannot go on from what is there changes nothing of it.
# ALL=1 starts a hundred at once, and has twenty owners follow one another.
. "$(dirname "$0")/lib.sh" "$@"

small_job 3 5 12
echo "replicas: 4" >>job.yaml
"$thaw" train job.yaml --set name=whole >/dev/null 2>&1 || fail "a run that is left alone"
whole=$(results runs/whole)

# --- one owner ---------------------------------------------------------------------------------------------------------------

starts=15 owners=4
[ -z "${ALL-}" ] || starts=100 owners=20

# many starts at once: one run, all others refused
for i in $(seq $starts); do
    ("$thaw" train job.yaml --set name=race --set 'phases=[{epochs: 60, train: fc}]' >"race$i" 2>&1; echo $? >"code$i") &
done
wait
won=0
for i in $(seq $starts); do
    case $(cat "code$i") in
        0) won=$((won + 1)) ;;
        2) grep -qE "runs/race' (is in use by|is there already)" "race$i" || fail "refused: $(cat "race$i")" ;;
        *) fail "a start of many: $(cat "race$i")" ;;
    esac
done
[ $won -ge 1 ] || fail "none of many starts won"
[ "$(grep -c "^epoch  " race* | grep -c ":1")" = 1 ] || fail "more than one of many starts trained"

# the owner is killed, five want its place: one gets it, and is killed in turn
for round in $(seq $owners); do
    heirs=()
    for i in 1 2 3 4 5; do
        "$thaw" train job.yaml --set name=heirs --set 'phases=[{epochs: 100000, train: fc}]' >"heir$i" 2>&1 &
        heirs+=($!)
    done
    for _ in $(seq 200); do
        alive=()
        for heir in "${heirs[@]}"; do kill -0 "$heir" 2>/dev/null && alive+=("$heir"); done
        [ ${#alive[@]} -gt 1 ] || break
        sleep 0.05
    done
    [ ${#alive[@]} = 1 ] || fail "round $round: ${#alive[@]} processes have the folder: $(cat heir?)"
    [ "$(grep -l "runs/heirs' is in use by \|runs/heirs' is there already" heir? | wc -l)" = 4 ] ||
        fail "round $round: $(cat heir?)"
    for _ in $(seq 100); do [ -s runs/heirs/last.h5 ] && grep -q "^epoch" heir? && break; sleep 0.02; done
    [ $round = 1 ] || grep -q "going on from runs/heirs/last.h5" heir? || fail "round $round: does not go on: $(cat heir?)"
    kill -9 "${heirs[@]}" 2>/dev/null
    wait "${heirs[@]}" 2>/dev/null
done
"$thaw" show runs/heirs/last.h5 >/dev/null || fail "after $owners owners: no checkpoint"

# many that begin beside it: each gets a folder of its own
"$thaw" train job.yaml --set name=beside --set 'phases=[{epochs: 1, train: fc}]' >/dev/null 2>&1 || fail "beside"
for i in 1 2 3 4 5 6; do
    "$thaw" train job.yaml --set name=beside --set 'phases=[{epochs: 1, train: fc}]' --fresh >beside$i 2>&1 || echo $i >>refused &
done
wait
[ ! -e refused ] || fail "--fresh, refused: $(cat beside*)"
[ "$(cd runs && echo beside*)" = "beside beside-2 beside-3 beside-4 beside-5 beside-6 beside-7" ] || fail "--fresh: $(ls runs)"
for i in 2 3 4 5 6 7; do
    [ "$(results runs/beside-$i)" = "$(results runs/beside)" ] || fail "runs/beside-$i is another run"
    grep -q "^name: beside-$i$" runs/beside-$i/job.yaml || fail "runs/beside-$i: $(cat runs/beside-$i/job.yaml)"
done

# a lock that is gone is not said to be another's
begin 1 --set name=away --set checkpoint.minutes=1e-6
for _ in $(seq 200); do [ -s runs/away/previous.h5 ] && break; sleep 0.02; done
rm runs/away/lock
wait $launcher
[ $? = 1 ] || fail "a run without its lock: $(cat said)"
grep -q "'runs/away/lock' is gone, with its folder or alone: nothing more is written there" said || fail "gone: $(cat said)"

# a lock that was lost, as a network may do: who holds the file is the owner, the other writes nothing more
begin 1 --set name=lost --set checkpoint.minutes=1e-6
for _ in $(seq 100); do [ -s runs/lost/lock ] && break; sleep 0.02; done
printf "process 1 on elsewhere" >lock && mv lock runs/lost/lock # at once: an empty one has no name in it
wait $launcher
[ $? = 1 ] || fail "a run whose folder was taken over: $(cat said)"
grep -q "run folder 'runs/lost' was taken over by process 1 on elsewhere: nothing more is written to it" said ||
    fail "taken over: $(cat said)"
[ "$(cat runs/lost/lock 2>/dev/null)" = "process 1 on elsewhere" ] || fail "who lost a lock took it away"
grep -qs failed runs/lost/status.json && fail "a run that lost its folder writes its end there: $(cat runs/lost/status.json)"

# --- finished, another job, in use, damaged -----------------------------------------------------------------------------------

before=$(cd runs/whole && sha256sum ./*)
expect 0 "'runs/whole' is finished, all 20 epochs" mpirun -n 2 "$thaw" train job.yaml --set name=whole
expect 2 "'runs/whole' was begun with optimizer.lr: 0.05, this job has 0.06" "$thaw" train job.yaml --set name=whole \
    --set optimizer.lr=0.06
expect 2 "'runs/whole' was begun with phases, this job has others" "$thaw" train job.yaml --set name=whole \
    --set 'phases=[{epochs: 20, train: all}]' --set epochs=20
[ "$(cd runs/whole && sha256sum ./*)" = "$before" ] || fail "a finished run was changed"
expect 0 "runs/whole-2" "$thaw" train job.yaml --set name=whole --fresh

mkdir runs/mine && touch runs/mine/diary.txt
expect 2 "'runs/mine' is there already and holds no run" "$thaw" train job.yaml --set name=mine
[ "$(ls runs/mine)" = diary.txt ] || fail "a folder that is no run's was changed"

begin 1 --set name=busy
for _ in $(seq 100); do [ -s runs/busy/last.h5 ] && break; sleep 0.05; done
expect 2 "run folder 'runs/busy' is in use by process $launcher on $(hostname)" "$thaw" train job.yaml --set name=busy
kill -USR2 $launcher
wait $launcher
[ -s runs/busy/previous.h5 ] || fail "stopped before there was a second checkpoint"
printf x | dd of=runs/busy/last.h5 bs=1 seek=30000 conv=notrunc 2>/dev/null
expect 0 "going on from 'runs/busy/previous.h5', the checkpoint before" "$thaw" train job.yaml --set name=busy
[ "$(results runs/busy)" = "$whole" ] || fail "from the checkpoint before: another result"
[ -s runs/busy/damaged.h5 ] || fail "the damaged checkpoint is gone"

# a damaged checkpoint is not replaced before there is a whole one, and none that is whole is no reason to begin again
begin 1 --set name=hurt
for _ in $(seq 200); do [ -s runs/hurt/previous.h5 ] && break; sleep 0.02; done
kill -9 $launcher
wait $launcher 2>/dev/null
for file in last previous; do printf x | dd of=runs/hurt/$file.h5 bs=1 seek=30000 conv=notrunc 2>/dev/null; done
before=$(cd runs/hurt && sha256sum ./*.h5 ./metrics.* 2>/dev/null)
expect 1 "runs/hurt/previous.h5' is damaged" "$thaw" train job.yaml --set name=hurt
rm runs/hurt/previous.h5
expect 1 "'runs/hurt' has no whole checkpoint to go on from" "$thaw" train job.yaml --set name=hurt
[ "$(cd runs/hurt && sha256sum ./*.h5 ./metrics.* 2>/dev/null)" = "$(grep -v previous.h5 <<<"$before")" ] ||
    fail "a refused start changed the run"

# one that cannot be read now is not damaged: nothing is put aside, and nothing cut
"$thaw" train job.yaml --set name=unread >/dev/null 2>&1 &
launcher=$!
for _ in $(seq 200); do [ -s runs/unread/previous.h5 ] && break; sleep 0.02; done
kill -9 $launcher
wait $launcher 2>/dev/null
mv runs/unread/last.h5 runs/unread/kept.h5
mkdir runs/unread/last.h5
before=$(cd runs/unread && sha256sum ./*.h5 ./metrics.* 2>/dev/null)
expect 1 "cannot read 'runs/unread/last.h5': not a plain file" "$thaw" train job.yaml --set name=unread
[ "$(cd runs/unread && sha256sum ./*.h5 ./metrics.* 2>/dev/null)" = "$before" ] || fail "a refused start changed the run"

# results without the checkpoint they belong to are not written over; a best checkpoint that is gone is missed
cp -r runs/whole runs/bare
sed -i 's/^name: .*/name: bare/' runs/bare/job.yaml
truncate -s 5000 runs/bare/best.h5
expect 0 "thaw: warning: 'runs/bare/best.h5' is cut short" "$thaw" train job.yaml --set name=bare
grep -q ", that of epoch [0-9]*: only a better epoch makes another$" said || fail "a damaged best checkpoint: $(cat said)"
rm runs/bare/best.h5
expect 0 "'runs/bare/best.h5' is gone, that of epoch" "$thaw" train job.yaml --set name=bare
rm runs/bare/last.h5 runs/bare/previous.h5
before=$(cd runs/bare && sha256sum ./*)
expect 1 "'runs/bare' has results but no last.h5 to go on from" "$thaw" train job.yaml --set name=bare
[ "$(cd runs/bare && sha256sum ./*)" = "$before" ] || fail "a refused start changed the run"

# other pictures of the same number, at the same place
cp job.yaml moved.yaml && cp -r data moved
sed -i 's,data/,moved/,g; s/^name: .*/name: moved/' moved.yaml
"$thaw" train moved.yaml >/dev/null 2>&1 &
launcher=$!
for _ in $(seq 200); do [ -s runs/moved/previous.h5 ] && break; sleep 0.02; done
kill -9 $launcher
wait $launcher 2>/dev/null
"$thaw" demo others --train 13 --val 7 --size 40 --seed 7 >/dev/null && "$thaw" pack others -o moved --resize 36 --force >/dev/null 2>&1
expect 2 "data.train: the pictures there are not those that 'runs/moved/last.h5' was trained with" "$thaw" train moved.yaml
cp data/train-* moved/
expect 2 "data.val: the pictures there are not those" "$thaw" train moved.yaml
cp data/val-* moved/
expect 0 "going on from runs/moved/last.h5" "$thaw" train moved.yaml

# what is not thaw's stays
mkdir runs/notes && touch runs/notes/notes.tmp
expect 2 "'runs/notes' is there already and holds no run" "$thaw" train job.yaml --set name=notes
[ "$(ls runs/notes)" = notes.tmp ] || fail "somebody's file was removed"

expect 1 "metrics.csv' is gone" sh -c "'$thaw' train job.yaml --set name=cut & until [ -s runs/cut/metrics.csv ]; do sleep 0.02; done; kill -TERM \$!; wait
    rm runs/cut/metrics.csv; '$thaw' train job.yaml --set name=cut"


finish
