#!/usr/bin/env bash
# devices_test.sh THAW_SIM: which GPUs are seen and taken, and what is said where they are not to be had, on simulated ones.
. "$(dirname "$0")/../cli/lib.sh" "$@"

unset "${!SLURM_@}" CUDA_VISIBLE_DEVICES

# says PATTERN...: a line of what was said last is like it
says() {
    local pattern
    for pattern in "$@"; do
        grep -qE -- "$pattern" said || fail "does not say '$pattern': $(cat said)"
    done
}
facts="simulated GPU, 2\.0 of 2\.0 GiB free"

# --- what there is -----------------------------------------------------------------------------------------------------------

export THAW_SIM_MEMORY=2048
expect 0 "" "$thaw" devices --require cuda
says "^cuda       works: no CUDA, simulated NCCL$" "^           GPU 0: $facts, compute capability 9\.0, 3 multiprocessors$" \
    "^           GPU 3: " "^           rank 0 on .*: GPU 0, $facts$"
grep -q "GPU 4\|trouble" said && fail "more than there is: $(cat said)"
expect 0 '"gpus": [{"gpu": 0, "name": "simulated GPU", "memory_bytes": 2147483648, "available_bytes": 2147483648, "capability": "9.0"' \
    "$thaw" devices --json

# --- who takes what ------------------------------------------------------------------------------------------------------------

expect 0 "" mpirun -n 4 "$thaw" devices --require cuda
for rank in 0 1 2 3; do
    says "^           rank $rank on .*: GPU $rank, $facts$"
done
# each has its own, and they are numbered anew
own='CUDA_VISIBLE_DEVICES=$OMPI_COMM_WORLD_LOCAL_RANK exec "$0" "$@"'
expect 0 "" mpirun -n 4 bash -c "$own" "$thaw" devices --require cuda
says "works: no CUDA, simulated NCCL, CUDA_VISIBLE_DEVICES=0$" "rank 0 on .*: GPU 0, $facts$" "rank 3 on .*: GPU 0, $facts$"
# all see the same one
many="2 ranks on host '$(hostname)', where they see 1 GPU: start at most 1 on a host, or set device: cpu"
export CUDA_VISIBLE_DEVICES=2
expect 0 "trouble    $many" mpirun -n 2 "$thaw" devices
says "rank 0 on .*: GPU 0, " "rank 1 on .*: no GPU is left$"
expect 0 "\"trouble\": \"$many\"" mpirun -n 2 "$thaw" devices --json
expect 1 "thaw: cuda does not work here: $many" mpirun -n 2 "$thaw" devices --require cuda
expect 0 "" mpirun -n 2 "$thaw" devices --require cpu
expect 0 "" mpirun -n 2 -x THAW_GPU=0 "$thaw" devices --require cuda
says "rank 0 on .*: GPU 0, " "rank 1 on .*: GPU 0, "
unset CUDA_VISIBLE_DEVICES
expect 0 "rank 0 on $(hostname): GPU 2, " env THAW_GPU=2 "$thaw" devices
expect 2 "thaw: THAW_GPU: 'two', allowed are whole numbers, 0 to 31" env THAW_GPU=two "$thaw" devices

# --- none ----------------------------------------------------------------------------------------------------------------------

small_job 1 0 1
sed -i '/layer3, fc/d; s/^epochs.*//' job.yaml
while IFS='|' read -r variable words; do
    expect 0 "cuda       does not work: no GPU: $words" env "$variable" "$thaw" devices
    expect 1 "thaw: cuda does not work here: no GPU: $words" env "$variable" "$thaw" devices --require cuda
    expect 1 "thaw: no GPU: $words" env "$variable" "$thaw" train job.yaml --set device=cuda
done <<'END'
THAW_SIM_DRIVER=0|there is no NVIDIA driver here
THAW_SIM_DRIVER=12020|the driver is for CUDA 12.2, thaw was built with 13.0: a newer driver is needed, or a build with CUDA 12
THAW_SIM_GPUS=0|the driver is here, but it sees none
CUDA_VISIBLE_DEVICES=|CUDA_VISIBLE_DEVICES='' leaves none visible
CUDA_VISIBLE_DEVICES=9|CUDA_VISIBLE_DEVICES='9' leaves none visible
END
expect 0 "oneDNN" env THAW_SIM_GPUS=0 "$thaw" plan job.yaml --no-time # device: auto

# one of four cannot be had: nobody goes on without it
export THAW_SIM_BROKEN=1
broken="GPU 1 (simulated GPU): it is broken"
expect 0 "           GPU 1: $broken" "$thaw" devices --require cuda
says "^           GPU 2: $facts"
expect 0 "rank 1 on $(hostname): GPU 1, which it cannot have: $broken" mpirun -n 2 "$thaw" devices
expect 1 "thaw: rank 1: cuda does not work here: $broken" mpirun -n 2 "$thaw" devices --require cuda
expect 1 "thaw: rank 1: $broken" mpirun -n 2 "$thaw" train job.yaml --set device=cuda
expect 1 "thaw: rank 1: $broken" mpirun -n 2 "$thaw" train job.yaml
expect 0 "simulated GPU" mpirun -n 2 env CUDA_VISIBLE_DEVICES=0,2 "$thaw" plan job.yaml --no-time
unset THAW_SIM_BROKEN

# --- in a job --------------------------------------------------------------------------------------------------------------------

export THAW_SIM_GPUS=1
expect 1 "thaw: $many" mpirun -n 2 "$thaw" train job.yaml --set device=cuda
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
expect 1 "thaw: $many" mpirun -n 2 "$thaw" train job.yaml
expect 0 "oneDNN" mpirun -n 2 "$thaw" plan job.yaml --no-time --set device=cpu
expect 2 "THAW_GPU: 3, but rank 0 on host '$(hostname)' sees 1 GPU: allowed are 0 to 0" env THAW_GPU=3 "$thaw" plan job.yaml
[ ! -e runs ] || fail "runs that did not begin left $(find runs)"
expect 0 "" env THAW_SIM_GPUS=2 mpirun -n 2 bash -c "$own" "$thaw" plan job.yaml --no-time --set device=cuda
expect 0 "" mpirun -n 2 -x THAW_GPU=0 "$thaw" plan job.yaml --no-time --set device=cuda

finish
