#!/usr/bin/env bash
# lr_find_test.sh THAW: the sweep over learning rates. What it suggests for a curve is tested in tests/unit; here: that the
# curve is a training's, the same for any number of ranks, and that nothing is left behind.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 2

# At a rate that does not rise it is a training: 65 pictures are 13 batches of 5, so the mean of 13 losses is an epoch's.
same=(--set 'phases=[{epochs: 2, train: all}]' --set batch=5)
expect 0 "" "$thaw" train job.yaml "${same[@]}" --set optimizer.lr=0.05
before=$(find . -type f -not -name said | sort | xargs sha256sum)
"$thaw" lr-find job.yaml "${same[@]}" --from 0.05 --to 0.05000000001 --steps 26 -o flat.csv >said 2>&1
[ "$(wc -l <flat.csv)" = 27 ] || fail "flat.csv: $(cat flat.csv said)"
for epoch in 1 2; do
    mean=$(awk -F, -v epoch=$epoch 'NR > 1 && int(($1 - 1) / 13) + 1 == epoch { sum += $3 } END { printf "%.6f", sum / 13 }' flat.csv)
    loss=$(awk -F, -v epoch=$epoch '$1 == epoch { print $5 }' runs/small/metrics.csv)
    awk -v a="$mean" -v b="$loss" 'BEGIN { exit !(a - b < 1e-4 && b - a < 1e-4) }' || fail "epoch $epoch: loss $loss, sweep $mean"
done
[ "$(find . -type f -not -name said -not -name flat.csv | sort | xargs sha256sum)" = "$before" ] || fail "a sweep changes $(find .)"

# the same curve and suggestion on 1, 2 and 4 ranks; the line to use it is one that train takes
# batches of all pictures scatter so little that the fall is no chance, by far
falls=(--from 1e-5 --to 1 --set batch=65 --set data.crop=16
    --set 'phases=[{epochs: 1, train: [fc]}, {epochs: 1, train: [layer3, fc]}, {epochs: 1, train: all, lr: 0.02}]')
for ranks in 1 2 4; do
    mpirun -n $ranks "$thaw" lr-find job.yaml --set replicas=4 --phase 3 "${falls[@]}" -o curve$ranks.csv >said$ranks 2>&1 ||
        fail "$ranks ranks: $(cat said$ranks)"
    [ "$(grep -c '^use ' said$ranks)" = 1 ] || fail "$ranks ranks: $(cat said$ranks)"
done
cmp -s curve1.csv curve2.csv && cmp -s curve1.csv curve4.csv || fail "curves differ between ranks"
suggested() { grep -E '^(valley|steepest|use) ' "said$1"; }
[ "$(suggested 1 | wc -l)" = 3 ] && [ "$(suggested 1)" = "$(suggested 2)" ] && [ "$(suggested 1)" = "$(suggested 4)" ] ||
    fail "other suggestions: $(cat said1 said2 said4)"
[ "$(head -n 1 curve1.csv)" = step,lr,loss,smoothed ] || fail "head of the CSV: $(head -n 1 curve1.csv)"
[ "$(sed -n 2p curve1.csv | cut -d, -f1,2)" = 1,1e-05 ] || fail "the first rate: $(sed -n 2p curve1.csv)"
[ "$(sed -n '2s/.*,\(.*\),\(.*\)/\1=\2/p' curve1.csv | awk -F= '{ print $1 == $2 }')" = 1 ] || fail "the first smoothed loss"
grep -q "^use       lr: .* in phase 3 of the job file, which has a rate of its own" said1 || fail "phase 3: $(cat said1)"
grep -q "^sweep   phase 3, all: 100 steps from 1e-05 to 1$" said1 || fail "no word on the sweep: $(cat said1)"
expect 0 "use       --set optimizer.lr=" "$thaw" lr-find job.yaml --phase 2 "${falls[@]}"
grep -q "^          or lr: .* in phase 2 of the job file" said || fail "no word on a rate of the phase itself: $(cat said)"
# shellcheck disable=SC2046
expect 0 "" "$thaw" train job.yaml --set name=found $(sed -n 's/^use *//p' said)

# weights of a checkpoint are where the sweep begins: the first loss is another than that of random ones
"$thaw" lr-find job.yaml "${same[@]}" -c runs/small/best.h5 -o warm.csv >said 2>&1 # whatever it suggests
grep -q "parameters  weights runs/small/best.h5" said || fail "-c: $(cat said)"
awk -F, 'FNR == 2 { loss[FILENAME] = $3 } END { exit !(loss["warm.csv"] != loss["flat.csv"]) }' warm.csv flat.csv || fail "-c begins anew"

# --- how a sweep ends ------------------------------------------------------------------------------------------------------

"$thaw" lr-find job.yaml --phase 3 --to 1e6 >said 2>&1
grep -q "the smoothed loss is over 4 times the least" said || fail "no end: $(cat said)"
grep -q '###>$' said || fail "no bar is cut off: $(cat said)"
# a rate times a decay of a million makes every weight a million times larger in each step
million=(--set optimizer.weight_decay=1000 --phase 3 --from 1e3 --to 1.1e3)
expect 1 "no rate to suggest: the loss does not fall in 2 steps from 1.00e+03 on" mpirun -n 2 "$thaw" lr-find job.yaml "${million[@]}"
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
"$helpers/poison" runs/small/best.h5 poisoned.h5 model/fc.bias || fail "no poisoned checkpoint"
expect 76 "the loss is not finite at step 1, rate 1.00e-07: too soon to suggest a rate" mpirun -n 2 "$thaw" lr-find job.yaml -c poisoned.h5
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
expect 76 "the loss is not finite at step 1" "$thaw" lr-find job.yaml -c poisoned.h5 --set max_skipped=1000
# a rate that is not usual is told with what is
expect 0 "usual for adamw with batches of 65 is 1e-06 to 0.01" "$thaw" lr-find job.yaml --phase 2 "${falls[@]}" --from 1e-3 \
    --set optimizer.kind=adamw --set optimizer.lr_scale='{layer3: 0.001, fc: 0.001}' --to 1000
# a network that hardly moves falls by chance alone: no line to use, and yet the curve
expect 1 "which may be chance: more --steps" "$thaw" lr-find job.yaml --from 1e-9 --to 1e-8 --steps 60 --phase 3 -o noise.csv
grep -qE '^(use|valley|steepest) ' said && fail "noise suggests a rate: $(cat said)"
[ "$(wc -l <noise.csv)" = 61 ] || fail "no curve of noise: $(cat said)"

# --- what is wrong ------------------------------------------------------------------------------------------------------------

expect 1 "cannot" "$thaw" lr-find job.yaml --phase 2 "${falls[@]}" -o none/curve.csv
grep -q '^use ' said || fail "a file that cannot be written takes the suggestion with it: $(cat said)"
expect 2 "lr-find takes one job file, not 0" "$thaw" lr-find
expect 2 "--from 2: allowed is less than --to 1" "$thaw" lr-find job.yaml --from 2 --to 1
expect 2 "--from 1: allowed is less than --to 1" "$thaw" lr-find job.yaml --from 1 --to 1
expect 2 "--steps 9: allowed are 10 to 10000" "$thaw" lr-find job.yaml --steps 9
expect 2 "--from" "$thaw" lr-find job.yaml --from nan
expect 2 "--phase 4: the job has 3" mpirun -n 2 "$thaw" lr-find job.yaml --phase 4
expect 2 "--phase 0: allowed are" "$thaw" lr-find job.yaml --phase 0
expect 1 "no.h5" "$thaw" lr-find job.yaml -c no.h5
expect 2 "holds a resnet20, the job names resnet32" mpirun -n 2 "$thaw" lr-find job.yaml --set model.arch=resnet32 -c runs/small/best.h5
expect 2 "none/train-*.h5" "$thaw" lr-find job.yaml --set 'data.train=none/train-*.h5'
expect 0 "usage: [mpirun -n N] thaw lr-find JOB.yaml" "$thaw" help lr-find
[ "$(ls runs | tr '\n' ' ')" = "found small " ] || fail "run folders: $(ls runs)"
[ -z "$(find . -name '*.tmp')" ] || fail "temporary files stay: $(find . -name '*.tmp')"

finish
