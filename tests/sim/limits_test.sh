#!/usr/bin/env bash
# limits_test.sh THAW-SIM: what a GPU does not have or cannot do ends a run with the exit code that tells it and one line.
. "$(dirname "$0")/lib.sh" "$@"

sim_job 3

# refused CODE WORDS RANKS NAME OPTIONS...: a run that ends so, and says it once
refused() {
    local want=$1 words=$2 ranks=$3 got
    shift 2
    train "$@"
    got=$?
    [ "$got" = "$want" ] || fail "$*: exit code $got, want $want: $(cat said)"
    grep -qF -- "$words" said || fail "$*: does not say '$words': $(cat said)"
    [ "$(grep '^thaw: ' said | grep -cv '^thaw: warning: ')" = 1 ] || fail "$ranks ranks: not told once: $(cat said)"
    [ "$(grep -c '^sim: ' said)" = 0 ] || fail "$ranks ranks: the simulator refuses: $(cat said)"
}

# --- devices -------------------------------------------------------------------------------------------------------------

THAW_SIM_GPUS=1 refused 1 "where they see 1 GPU: start at most 1 on a host, or set device: cpu" 2 gpus
[ ! -e runs/gpus ] || fail "a run without its GPUs left a folder"
THAW_SIM_GPUS=0 refused 1 "no GPU: the driver is here, but it sees none" 1 none
refused 2 "comm: nccl: device 'cpu' sums by mpi alone" 2 cpu-nccl --set device=cpu --set comm=nccl

# without a GPU no notice is taken of bf16
elsewhere=(--set device=auto --set precision=bf16 --set 'phases=[{epochs: 2, train: all, lr: 0.0001}]')
THAW_SIM_GPUS=0 trained 1 laptop "${elsewhere[@]}"
grep -qF "warning: precision: bf16 is for GPUs, device 'cpu' computes with fp32" said || fail "no word of precision: $(cat said)"

# --- memory --------------------------------------------------------------------------------------------------------------

# parameters alone take 1 MiB; with two there is no room for slots and gradients, with four none for activations
for mebibytes in 1 2 4; do
    THAW_SIM_MEMORY=$mebibytes refused 78 "memory" 1 "memory-$mebibytes"
    THAW_SIM_MEMORY=$mebibytes refused 78 "memory" 2 "memory-$mebibytes-two"
done

# the same on one rank alone, which the other must not wait for
printf '#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 0 ] || export THAW_SIM_MEMORY=$LESS_MEMORY\nexec "%s" "$@"\n' "$thaw" >uneven
chmod +x uneven
for mebibytes in 1 2 3 4; do
    LESS_MEMORY=$mebibytes thaw=$PWD/uneven refused 78 "memory" 2 "memory-$mebibytes-one" --set timeout=30
done

# --- numbers -------------------------------------------------------------------------------------------------------------

# 1,000,000 times the gradient is beyond 65,504 for half at the first step; so it is at each, as the scale is fixed
overflow=(--set precision=fp16 --set loss_scale=16777216)
refused 76 "epoch 1, step 1: the gradient of 'fc.weight' is not finite" 1 overflow "${overflow[@]}"
refused 76 "epoch 1, step 3: the gradient of 'fc.weight' is not finite, and 2 of 2 steps were left out" 1 overflow-2 \
    "${overflow[@]}" --set max_skipped=2
[ "$(grep -c 'is left out' said)" = 2 ] || fail "not two steps were left out: $(cat said)"

"$thaw" train --help | grep -q -- --fault || { finish; exit; } # built without THAW_FAULTS
short=(--set 'phases=[{epochs: 2, train: all, lr: 0.0001, batch: 10}]' --fault gradient@5)
for ranks in 1 2; do
    refused 76 "epoch 2, step 2: the gradient of 'conv1.weight' is not finite" "$ranks" "nan-$ranks" "${short[@]}"
    trained "$ranks" "skip-$ranks" --set max_skipped=1 --set comm=mpi "${short[@]}"
    grep -qF "epoch 2, step 2: the gradient of" said || fail "no word of the step that was left out: $(cat said)"
done
same runs/skip-2 runs/skip-1

# what `auto` began on a GPU does not go on without one, and says so
train 1 elsewhere "${elsewhere[@]}" --fault usr2@4
[ $? = 75 ] || fail "not stopped: $(cat said)"
for ranks in 1 2; do
    THAW_SIM_GPUS=0 refused 1 "'runs/elsewhere' was begun on GPUs, and goes on with them (--fresh begins another run): no GPU: " $ranks elsewhere "${elsewhere[@]}"
done
trained 2 elsewhere "${elsewhere[@]}"
expect 0 "is for GPUs" "$thaw" eval job.yaml --set precision=bf16 --set device=cpu --checkpoint runs/elsewhere/best.h5
trained 1 skip-cpu --set max_skipped=1 --set device=cpu "${short[@]}"
near 2e-6 0 runs/skip-1 runs/skip-cpu

finish
