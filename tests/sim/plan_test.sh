#!/usr/bin/env bash
# plan_test.sh THAW_SIM: what a plan says of a GPU's memory, in numbers by hand, and of its convolutions.
. "$(dirname "$0")/../cli/lib.sh" "$@"
unset CUDA_VISIBLE_DEVICES

small_job 1 1 1
# kinds PHASE: parameters average optimizer gradients activations workspace pictures held-in-all
kinds() {
    sed -n "/^MiB of rank 0's GPU\$/,/^\$/s/^ *$1 //p" said
}

# ResNet-18 with five classes: 11,179,077 parameters are 42.6 MiB, 9,600 statistics nearly nothing; 64 pictures of 128 x 128
# are 3 MiB. In bfloat16 there is a copy of half the size.
plan=("$thaw" plan job.yaml --no-time --set device=cuda --set model.arch=resnet18 --set data.crop=128 --set batch=64
    --set 'phases=[{epochs: 1, train: [fc]}, {epochs: 1, train: all}]')
expect 0 "" "${plan[@]}"
read -r parameters average optimizer gradients activations workspace pictures held < <(kinds 2)
[ "$parameters $average $optimizer $gradients $pictures" = "42.7 0.0 42.6 42.7 3.0" ] || fail "kinds: $(cat said)"
awk "BEGIN{sum = $parameters + $optimizer + $gradients + $activations + $workspace; exit !($held >= sum - 1 && $held < 1.5 * sum)}" ||
    fail "the GPU holds $held MiB: $(cat said)"
full=$activations
read -r _ _ _ _ activations _ < <(kinds 1)
awk "BEGIN{exit !($activations < $full / 3)}" || fail "what is frozen keeps its values: $(cat said)"
expect 0 "" "${plan[@]}" --set precision=bf16 --set average.decay=0.9
read -r parameters average _ _ activations _ < <(kinds 2)
[ "$parameters $average" = "64.0 42.6" ] || fail "kinds in bfloat16: $(cat said)"
awk "BEGIN{exit !($activations < 0.6 * $full && $activations > 0.4 * $full)}" || fail "values in bfloat16: $(cat said)"

# 20 convolutions, three of them projections; in the first phase none makes a gradient
expect 0 "" mpirun -n 2 "${plan[@]}" --engines
[ "$(sed -n '/^phase 2, batches of 32$/,$p' said | awk '/^ +[0-9]+  /{sum += $1} END{print sum}')" = 20 ] ||
    fail "not 20 convolutions: $(cat said)"
grep -qE '^    1  64 to 128, 32x32 to 16x16, kernel 1, stride 2 +simulated  simulated +simulated$' said || fail "engines: $(cat said)"
[ "$(sed -n '/^phase 1, batches of 32$/,/^$/p' said | grep -cE 'simulated +- +-$')" -ge 10 ] || fail "phase 1: $(cat said)"

# the table of architectures is that of a host, and needs no GPU
expect 0 "resnet18" env THAW_SIM_GPUS=0 "$thaw" models --batch 4
cp said models
expect 0 "" env THAW_SIM_MEMORY=1 "$thaw" models --batch 4
cmp -s said models || fail "models depends on the GPU: $(cat said)"

finish
