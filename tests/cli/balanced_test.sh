#!/usr/bin/env bash
# balanced_test.sh THAW: the best epoch by mean recall of the classes, where some have few validation pictures, one has none.
. "$(dirname "$0")/lib.sh" "$@"

small_job 2 2 4
rm -r pictures/val/triangle pictures/val/disc/*[0-4].* pictures/val/ring/*5.* data
"$thaw" pack pictures -o data --resize 36 >/dev/null 2>&1 || fail pack
by=(--set checkpoint.metric=balanced --set replicas=4 --set optimizer.lr=0.01 --set 'phases=[{epochs: 12, train: all}]')

# balanced FILE: the mean recall, from a table of predictions
balanced() {
    awk -F, 'NR > 1 { all[$3]++; right[$3] += $3 == $4 }
        END { for (c in all) { sum += right[c] / all[c]; n++ } printf "%.6f\n", sum / n }' "$1"
}

expect 0 "balanced correct" "$thaw" train job.yaml "${by[@]}"
csv=runs/small/metrics.csv
[ "$(head -n 1 $csv | cut -d, -f18-)" = val_balanced ] || fail "columns: $(head -n 1 $csv)"
[ "$(cut -d, -f10,18 $csv | tail -n +2 | awk -F, '$1 != $2' | wc -l)" -gt 0 ] || fail "balanced is top-1 everywhere: $(cat $csv)"

# a row is marked where it is better than all before, by balanced accuracy, then by loss
awk -F, 'NR > 1 { better = NR == 2 || $18 > best || ($18 == best && $9 < loss)
        if (better) { best = $18; loss = $9 }
        if (better != $17) print "epoch " $1 " is marked " $17 }' $csv >wrong
[ ! -s wrong ] || fail "$(cat wrong): $(cat $csv)"
row=$(awk -F, '$17 == 1' $csv | tail -n 1)
[ "$(balanced runs/small/predictions.csv)" = "$(cut -d, -f18 <<<"$row")" ] ||
    fail "predictions.csv comes to $(balanced runs/small/predictions.csv), the best row is $row"
value=$(printf %.4f "$(cut -d, -f18 <<<"$row")")
expect 0 "best       balanced $value at epoch $(cut -d, -f1 <<<"$row")" "$thaw" show runs/small/last.h5
expect 0 "balanced accuracy $value" "$thaw" eval runs/small/job.yaml -c runs/small/best.h5
grep -q "\"val_balanced\": $(cut -d, -f18 <<<"$row")" runs/small/metrics.jsonl || fail "metrics.jsonl: $(cat runs/small/metrics.jsonl)"
expect 0 "" "$thaw" train job.yaml --set name=top --set checkpoint.metric=top1 --set replicas=4
[ "$(cut -d, -f18- runs/top/metrics.csv)" = "" ] || fail "the column is there when nothing goes by it"

# the average is judged by the same, and both are told with it
expect 0 "" "$thaw" train job.yaml "${by[@]}" --set name=average --set average.decay=0.5
csv=runs/average/metrics.csv
[ "$(head -n 1 $csv | cut -d, -f18-)" = val_balanced,average_loss,average_top1,average_correct,average_balanced ] ||
    fail "columns: $(head -n 1 $csv)"
best=$(tail -n +2 $csv | cut -d, -f22 | sort -g | tail -n 1)
grep -q "^average .*, balanced $(printf %.4f "$best") at epoch" said || fail "the best average has $best: $(cat said)"
grep -q "^best .*, balanced $(printf %.4f "$(awk -F, '$17 == 1' $csv | tail -n 1 | cut -d, -f18)") at epoch" said || fail "best: $(cat said $csv)"
grep -q "\"average_balanced\": $(tail -n 1 $csv | cut -d, -f22)" runs/average/metrics.jsonl || fail "metrics.jsonl: $(cat runs/average/metrics.jsonl)"

# early stopping goes by the same: so many epochs after the best
expect 0 "epochs without a better one" "$thaw" train job.yaml "${by[@]}" --set name=early --set early_stopping.patience=2 \
    --set 'phases=[{epochs: 200, train: [fc]}]'
last=$(tail -n 1 runs/early/metrics.csv | cut -d, -f1)
[ "$(awk -F, '$17 == 1' runs/early/metrics.csv | tail -n 1 | cut -d, -f1)" = $((last - 2)) ] || fail "$(cat runs/early/metrics.csv)"

# the best so far outlives kills, on any number of ranks
"$thaw" train --help | grep -q -- --fault || { finish; exit; } # built without THAW_FAULTS
for ((step = 4; step < 60; step += 9)); do
    mpirun -n $((1 << step % 3)) "$thaw" train job.yaml "${by[@]}" --set name=killed --fault kill@$step >said 2>&1 &&
        fail "not killed at step $step"
done
expect 0 "" mpirun -n 2 "$thaw" train job.yaml "${by[@]}" --set name=killed
[ "$(results runs/killed)" = "$(results runs/small)" ] || fail "killed, another result: $(diff <(results runs/killed) <(results runs/small))"

expect 2 "checkpoint.metric: 'balance', allowed are top1, top5, balanced, loss" "$thaw" train job.yaml \
    --set checkpoint.metric=balance

finish
