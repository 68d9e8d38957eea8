#!/usr/bin/env bash
# average_test.sh THAW: the moving average of the weights in a run. Its arithmetic is compared with PyTorch's in tests/golden;
# here: which steps and parameters it is of, what is said and kept of it, and that it goes on bit for bit.
. "$(dirname "$0")/lib.sh" "$@"

"$thaw" train --help | grep -q -- --fault || exit 77 # built without THAW_FAULTS
small_job 1 2 2
on=(--set average.decay=0.9)

# tensors FILE GROUP: names and digests of a group, running statistics left out
tensors() {
    "$thaw" show --tensors "$1" | sed -n "s/^ *$2\/\([^ ]*\) .* /\1 /p" | grep -v running_
}

# --- nothing else is changed, and all of it is told ------------------------------------------------------------------------

expect 0 "average 0." "$thaw" train job.yaml "${on[@]}"
told=$(sed -n 's/^average 0\.[0-9]* (\([0-9]*\)\/35, 95% .*) at epoch \([0-9]*\)$/\1 \2/p' said)
[ -n "$told" ] || fail "no line for the average: $(cat said)"
grep -A 1 '^best ' said | grep -q '^average ' || fail "the average does not stand under the best: $(cat said)"
grep -q '^result .* best-average.h5 ' said || fail "best-average.h5 is not told: $(cat said)"
expect 0 "" "$thaw" train job.yaml --set name=without
grep -q average said && fail "without an average there is talk of one: $(cat said)"
[ ! -e runs/without/best-average.h5 ] || fail "without an average there is a best of it"
for file in last.h5 best.h5; do
    [ "$(tensors runs/small/$file model)" = "$(tensors runs/without/$file model)" ] || fail "the average changes $file"
done
cmp runs/small/predictions.csv runs/without/predictions.csv || fail "predictions.csv is not of the parameters"
[ "$(cut -d, -f1-13,16-17 runs/small/metrics.csv)" = "$(cut -d, -f1-13,16-17 runs/without/metrics.csv)" ] || fail "other metrics"
for run in small without; do
    expect 0 "1 run" "$thaw" report runs/$run -o $run.html
    drawn=$(grep -o '<text [^>]*class="name"[^>]*>average</text>' $run.html | wc -l) want=$([ $run = small ] && echo 2 || echo 0)
    [ "$drawn" = $want ] || fail "$run: the average has $drawn curves in the report"
done
grep -q "<td>$(awk -F, 'NR == 2 { printf "%.4f", $19 }' runs/small/metrics.csv)</td><td>[0-9.]*</td></tr>" small.html ||
    fail "the report has not the average's accuracy"
[ "$(cut -d, -f18- runs/without/metrics.csv)" = "" ] || fail "more columns without an average"
[ "$(head -n 1 runs/small/metrics.csv | cut -d, -f18-)" = average_loss,average_top1,average_correct ] ||
    fail "columns: $(head -n 1 runs/small/metrics.csv)"
[ "$(grep -c '"average_loss": [0-9.e+]*, "average_top1": 0\.[0-9]*, "average_correct": [0-9]*}$' runs/small/metrics.jsonl)" = 5 ] ||
    fail "metrics.jsonl: $(cat runs/small/metrics.jsonl)"
for curve in loss accuracy; do
    grep -qa "$curve/average" runs/small/events.out.tfevents.* || fail "no curve $curve/average"
    grep -qa "$curve/average" runs/without/events.out.tfevents.* && fail "a curve $curve/average without an average"
done
expect 0 "  average    59 tensors" "$thaw" show runs/small/last.h5
expect 0 "" "$thaw" show runs/small/best-average.h5
grep -q "optimizer  0 tensors" said && ! grep -q "^  average" said || fail "best-average.h5 holds more than a model: $(cat said)"

# best-average.h5 is the best of the average: by right pictures, then by loss, the first of equal ones
best=$(tail -n +2 runs/small/metrics.csv | sort -s -t, -k20,20nr -k18,18g | head -n 1)
[ "$told" = "$(cut -d, -f20 <<<"$best") $(cut -d, -f1 <<<"$best")" ] || fail "told $told, the best row is $best"
expect 0 "val loss $(cut -d, -f18 <<<"$best") " "$thaw" eval runs/small/job.yaml -c runs/small/best-average.h5
expect 0 "best-average.h5  resnet20 of epoch $(cut -d, -f1 <<<"$best")" "$thaw" eval runs/small/job.yaml -c runs/small/best-average.h5
expect 0 " at epoch $(cut -d, -f1 <<<"$best")" "$thaw" show runs/small/best-average.h5

# --- which steps, and which parameters -------------------------------------------------------------------------------------

# one SETTINGS...: a run of one epoch in three steps
one() {
    expect 0 "" "$thaw" train job.yaml "${on[@]}" --set batch=22 --set 'phases=[{epochs: 1, train: all}]' "$@"
}

# after the first step it is the parameters, also when a step before was left out
one --set name=single --set batch=65
[ "$(tensors runs/single/last.h5 average)" = "$(tensors runs/single/last.h5 model)" ] || fail "after one step it is something else"
one --set name=late --set batch=33 --set max_skipped=1 --fault gradient@1
[ "$(tensors runs/late/last.h5 average)" = "$(tensors runs/late/last.h5 model)" ] ||
    fail "after a step that was left out, the first is not the first"
one --set name=slow
[ "$(tensors runs/slow/last.h5 average)" != "$(tensors runs/slow/last.h5 model)" ] || fail "after three steps it is no average"

# a step that is left out leaves it alone: as it was after the second, so after a third
expect 137 "" "$thaw" train job.yaml "${on[@]}" --set name=two --set batch=22 --set checkpoint.minutes=1e-6 \
    --set 'phases=[{epochs: 1, train: all}]' --fault kill@3
one --set name=three --set max_skipped=1 --fault gradient@3
[ "$(tensors runs/two/last.h5 average)" = "$(tensors runs/three/last.h5 average)" ] || fail "a step that was left out counts"
[ "$(tensors runs/two/last.h5 average)" != "$(tensors runs/slow/last.h5 average)" ] || fail "the third step does not count"

# warm-up shortens the memory of a short run; what does not train is the same in both to the bit
one --set name=cold --set average.warm_up=false
[ "$(tensors runs/cold/last.h5 average)" != "$(tensors runs/slow/last.h5 average)" ] || fail "warm-up changes nothing"
one --set name=head --set 'phases=[{epochs: 2, train: [fc]}]'
[ "$(diff <(tensors runs/head/last.h5 average) <(tensors runs/head/last.h5 model) | sed -n 's/^> \([^ ]*\) .*/\1/p' | tr '\n' ' ')" = \
    "fc.bias fc.weight " ] || fail "frozen, yet averaged: $(diff <(tensors runs/head/last.h5 average) <(tensors runs/head/last.h5 model))"

# --- going on --------------------------------------------------------------------------------------------------------------

# In folders of their own, so that all bytes can be compared. A checkpoint after every step.
settings=("${on[@]}" --set replicas=4 --set checkpoint.minutes=1e-6 --set max_skipped=1 --set optimizer.kind=adam
    --set optimizer.lr=0.002)
mkdir whole killed stopped
for name in whole killed stopped; do ln -s ../data $name/data; done

# in FOLDER RANKS OPTIONS...: starts the run there, which a fault may end
in_folder() {
    (cd "$1" && shift && ranks=$1 && shift && if [ "$ranks" = 1 ]; then exec "$thaw" train ../job.yaml "$@"; else
        exec mpirun -n "$ranks" "$thaw" train ../job.yaml "$@"; fi) >said 2>&1
}

# bytes FOLDER: what a run came to; seconds and pictures a second are not part of it
bytes() {
    (cd "$1/runs/small" && sha256sum best.h5 best-average.h5 last.h5 predictions.csv && rows .)
}
in_folder whole 1 "${settings[@]}" || fail "left alone: $(cat said)"
steps=$("$thaw" show whole/runs/small/last.h5 | sed -n 's/^ *epoch .* step //p')

# killed before every fourth step, the ranks changing
for ((step = 1; step <= steps; step += 4)); do
    ranks=$((1 << step / 4 % 3))
    in_folder killed $ranks "${settings[@]}" --fault kill@$step && fail "not killed at step $step"
done
in_folder killed 2 "${settings[@]}" || fail "after all kills: $(cat said)"
[ "$(bytes killed)" = "$(bytes whole)" ] || fail "killed, another result: $(diff <(bytes killed) <(bytes whole))"

# asked to stop at any time, validation included
RANDOM=11
stops=0
for ((try = 0; try < 100; try++)); do
    in_folder stopped 1 "${settings[@]}" &
    launcher=$!
    sleep "0.$((100 + RANDOM % 500))"
    [ $stops -ge 4 ] || kill -USR2 "$(pgrep -P $launcher)" 2>/dev/null
    wait $launcher
    got=$?
    [ $got != 75 ] || stops=$((stops + 1))
    [ $got = 75 ] || [ $got = 140 ] || break # 140: before anything listened
done
[ $got = 0 ] && [ $stops -ge 1 ] || fail "stopped $stops times, then exit code $got: $(cat said)"
[ "$(bytes stopped)" = "$(bytes whole)" ] || fail "stopped, another result: $(diff <(bytes stopped) <(bytes whole))"

# the best average is missed as the best checkpoint is, and not promised
expect 75 "" "$thaw" train job.yaml "${on[@]}" --set name=gone --set optimizer.lr=0 --fault term@12
rm runs/gone/best-average.h5
expect 0 "warning: 'runs/gone/best-average.h5' is gone, that of epoch" "$thaw" train job.yaml "${on[@]}" --set name=gone --set optimizer.lr=0
grep -q "^result  runs/gone: best.h5 last.h5 " said || fail "promised, though it is gone: $(cat said)"

# --- refusals --------------------------------------------------------------------------------------------------------------

sed 's/^optimizer:/average: {decay: 1}\n&/' job.yaml >bad.yaml
expect 2 "bad.yaml:6:18: average.decay: 1, allowed are 0 to 0.999999" "$thaw" train bad.yaml
expect 2 "'runs/small' was begun with average.decay: 0.9, this job has 0.8" "$thaw" train job.yaml --set average.decay=0.8
expect 2 "'runs/small' was begun with average.warm_up: true, this job has false" "$thaw" train job.yaml "${on[@]}" \
    --set average.warm_up=false
expect 76 "epoch 1: the validation loss is nan" "$thaw" train job.yaml "${on[@]}" --set name=nan --fault validation@5

finish
