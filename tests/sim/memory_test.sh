#!/usr/bin/env bash
# memory_test.sh THAW_SIM: a batch that is too large for a GPU, or for the host, ends with one that fits.
. "$(dirname "$0")/../cli/lib.sh" "$@"
unset CUDA_VISIBLE_DEVICES

small_job 1 1 1
all=(--set 'phases=[{epochs: 1, train: all}]')

# too_large RANKS WHERE OPTIONS...: a batch of 64 is; the one that is said to fit does, one half as large again does not
too_large() {
    local ranks=$1 where=$2 fits more
    shift 2
    for command in "plan job.yaml --no-time" "plan job.yaml" "train job.yaml"; do
        expect 78 "thaw: out of memory: batch: 64 needs " mpirun -n "$ranks" "$thaw" $command "$@" "${all[@]}" --set batch=64
        [ "$(grep -c '^thaw: out' said)" = 1 ] || fail "told more than once: $(cat said)"
        grep -qE " needs [0-9.]+ [GM]iB for activations$where, [0-9.]+ [GM]iB are free: a batch of [0-9]+ would fit$" said ||
            fail "other words: $(cat said)"
    done
    fits=$(sed -n 's/.*: a batch of \([0-9]*\) would fit$/\1/p' said)
    [ "$fits" -ge 2 ] && [ "$fits" -lt 64 ] || fail "a batch of $fits is said to fit: $(cat said)"
    expect 0 "" mpirun -n "$ranks" "$thaw" plan job.yaml --no-time "$@" "${all[@]}" --set batch="$fits"
    more=$((fits * 3 / 2 + 2))
    expect 78 "batch: $more needs" mpirun -n "$ranks" "$thaw" plan job.yaml --no-time "$@" "${all[@]}" --set batch=$more
}

export THAW_SIM_MEMORY=40
too_large 1 " on each GPU" --set device=cuda --set data.crop=64
too_large 2 " on each GPU" --set device=cuda --set data.crop=64 --set replicas=2
[ ! -e runs ] || fail "a run that has no memory left $(find runs)"

# a phase that comes later is found before the first step, and leaves no run
expect 78 "thaw: phase 2: out of memory: batch: 64 needs " "$thaw" train job.yaml --set device=cuda --set data.crop=64 \
    --set 'phases=[{epochs: 1, train: [fc], batch: 4}, {epochs: 1, train: all, batch: 64}]'
grep -qE "are free: a batch of [0-9]+ would fit$" said || fail "no batch that would fit: $(cat said)"
[ ! -e runs ] || fail "a run that has no memory for its second phase left $(find runs)"

# what no batch changes is told in words of its own
expect 78 "thaw: out of GPU memory: parameters need 42.6 MiB, " "$thaw" plan job.yaml --set device=cuda --set model.arch=resnet18
# validation takes what there is: its batch is nobody's wish
"$thaw" demo many --train 2 --val 30 --size 40 >/dev/null && "$thaw" pack many -o many-data --resize 36 >/dev/null 2>&1 || fail many
for mebibytes in 12 64; do
    THAW_SIM_MEMORY=$mebibytes expect 0 "" mpirun -n 2 "$thaw" train job.yaml --set device=cuda --set 'data.train=many-data/train-*.h5' \
        --set 'data.val=many-data/val-*.h5' --set name="many-$mebibytes" --set 'phases=[{epochs: 1, train: all, batch: 4}]'
done
[ "$(cut -d, -f12 runs/many-12/metrics.csv)" = "$(cut -d, -f12 runs/many-64/metrics.csv)" ] ||
    fail "another accuracy with little memory: $(cat runs/many-*/metrics.csv)"

THAW_SIM_MEMORY=8 expect 78 "not even one picture in each of 1 replica fits, a smaller data.crop or network may" \
    "$thaw" plan job.yaml --set device=cuda --set data.crop=256

finish
