#!/usr/bin/env bash
# plateau_test.sh THAW: a rate that drops when the validation loss stands still. The rule is compared with PyTorch's in
# tests/golden; here: which losses it sees, over phases, warm-up, stops and ranks.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 1

# rates WANT SETTINGS...: the rates of a run's epochs, as shares of the base rate. No loss is a millionth of the first one:
# with this threshold none is lower, and every drop is known.
rates() {
    local want=$1 got
    shift
    expect 0 "" "$thaw" train job.yaml --fresh --set optimizer.lr=0.0078125 --set schedule.kind=plateau --set schedule.gamma=0.5 \
        --set schedule.threshold=0.999999 "$@"
    got=$(cut -d, -f4 "$(ls -td runs/small*/ | head -n 1)/metrics.csv" | tail -n +2 | awk '{printf "%g ", $1 / 0.0078125}')
    [ "$got" = "$want " ] || fail "$*: rates $got, want $want"
}

# the first loss is the best; one is borne, the next drops; one does not count; the last drop would lead below the minimum
rates "1 1 1 0.5 0.5 0.5 0.25 0.25 0.25 0.2" --set schedule.patience=1 --set schedule.cooldown=1 --set schedule.min=0.2 \
    --set 'phases=[{epochs: 10, train: fc}]'
# over phases, and anew where one says so, or has another schedule
hasty=(--set schedule.patience=0)
rates "1 1 0.5 0.25 0.125" "${hasty[@]}" --set 'phases=[{epochs: 3, train: fc}, {epochs: 2, train: all, batch: 22}]'
rates "1 1 0.5 1 1 0.5" "${hasty[@]}" --set 'phases=[{epochs: 3, train: fc}, {epochs: 3, train: all, restart: true}]'
rates "1 1 0.5 1 1 1 0.5" "${hasty[@]}" \
    --set 'phases=[{epochs: 3, train: fc}, {epochs: 4, train: all, schedule: {patience: 1}}]'
rates "1 1 1 1 0.5" "${hasty[@]}" \
    --set 'phases=[{epochs: 2, train: fc, schedule: {kind: constant}}, {epochs: 3, train: fc}]'
# losses of epochs that are nothing but warm-up do not count: five steps each, 10 of them, then 8
rates "0.01 0.505 1 1 0.5 0.25" "${hasty[@]}" --set schedule.warmup=2 --set 'phases=[{epochs: 6, train: fc}]'
rates "0.01 0.62875 1 0.5 0.25" "${hasty[@]}" --set schedule.warmup=1.5 --set 'phases=[{epochs: 5, train: fc}]'

# the losses are those of its own epochs: with patience 0, each that is no twentieth below the lowest of its phase drops
expect 0 "" "$thaw" train job.yaml --set name=own --set schedule.kind=plateau --set schedule.gamma=0.5 --set optimizer.lr=0.0625 \
    --set schedule.threshold=0.05 "${hasty[@]}" --set 'phases=[{epochs: 5, train: fc}, {epochs: 7, train: all, restart: true}]'
awk -F, 'NR > 1 { if ($2 != phase) { phase = $2; low = 1e300; factor = 1 }
        if ($4 != 0.0625 * factor) print "epoch " $1 " has rate " $4 ", want " 0.0625 * factor
        if ($9 < 0.95 * low) low = $9; else factor /= 2 }' runs/own/metrics.csv >wrong
[ ! -s wrong ] || fail "$(cat wrong): $(cat runs/own/metrics.csv)"

# --- going on: the losses so far are in the checkpoint -------------------------------------------------------------------------

"$thaw" train --help | grep -q -- --fault || { finish; exit; } # built without THAW_FAULTS
settings=(--set replicas=4 --set schedule.kind=plateau --set schedule.patience=1 --set schedule.gamma=0.5
    --set schedule.warmup=1.5 --set schedule.threshold=0.05 --set checkpoint.minutes=1e-6
    --set 'phases=[{epochs: 4, train: fc}, {epochs: 6, train: all, lr: 0.02}]')
mkdir whole killed
for name in whole killed; do ln -s ../data $name/data; done
bytes() {
    (cd "$1/runs/small" && sha256sum best.h5 last.h5 && rows .)
}
(cd whole && "$thaw" train ../job.yaml "${settings[@]}" >../said 2>&1) || fail "left alone: $(cat said)"
[ "$(cut -d, -f4 whole/runs/small/metrics.csv | sort -u | wc -l)" -gt 5 ] || fail "no drop: $(cat whole/runs/small/metrics.csv)"
for ((step = 3; step <= 50; step += 6)); do
    (cd killed && mpirun -n $((1 << step / 6 % 3)) "$thaw" train ../job.yaml "${settings[@]}" --fault kill@$step >../said 2>&1) &&
        fail "not killed at step $step"
done
(cd killed && mpirun -n 2 "$thaw" train ../job.yaml "${settings[@]}" >../said 2>&1) || fail "after all kills: $(cat said)"
[ "$(bytes killed)" = "$(bytes whole)" ] || fail "killed, another result: $(diff <(bytes killed) <(bytes whole))"

# --- refusals --------------------------------------------------------------------------------------------------------------

expect 2 "schedule.gamma: 1, allowed is above 0, below 1, where schedule.kind is plateau" "$thaw" train job.yaml --fresh \
    --set schedule.kind=plateau --set schedule.gamma=1 --set 'phases=[{epochs: 1, train: fc}]'
expect 2 "--set schedule.patience: -1, allowed are 0 to 1000000 epochs" "$thaw" train job.yaml --set schedule.patience=-1
expect 2 "--set schedule.threshold: 1, allowed are 0 to 0.999999" "$thaw" train job.yaml --set schedule.threshold=1

finish
