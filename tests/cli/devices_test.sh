#!/usr/bin/env bash
# devices_test.sh THAW: what the program says of a machine. With a GPU or without: what depends on that is asked for only
# where it is so.
. "$(dirname "$0")/lib.sh" "$@"

unset "${!SLURM_@}"

# row LABEL WORDS: a line that begins with the label says the words
row() {
    grep "^$1 " said | grep -qF -- "$2" || fail "'$1' does not say '$2': $(cat said)"
}

expect 0 "" "$thaw" devices
version=$("$thaw" --version | sed -n '1s/^thaw \([^ ]*\) .*/\1/p')
row thaw "$version, "
row cpu "works: oneDNN "
row cpu ", $(nproc) of "
row reference "works: plain C"
row mpi "Open MPI "
row mpi ", 1 rank on 1 host"
grep -q "^           rank 0 on $(hostname): " said || fail "no line for rank 0: $(cat said)"
[ "$(wc -l <said)" -le 16 ] || fail "more than a few lines: $(cat said)"
expect 0 ", 1 of " taskset -c 0 "$thaw" devices

# as JSON: the same
expect 0 "" "$thaw" devices --json
cp said devices.json
for words in "{\"version\": \"$version\", " "\"cores\": $(nproc), " '{"name": "cpu", "works": true, "why_not": null, "versions": "oneDNN ' \
    "\"ranks\": [{\"rank\": 0, \"host\": \"$(hostname)\", " '"slurm": {}'; do
    grep -qF -- "$words" devices.json || fail "JSON does not say '$words': $(cat devices.json)"
done
[ "$(wc -l <devices.json)" = 1 ] || fail "more than one line of JSON"

# under mpirun, and under Slurm
expect 0 ", 3 ranks on 1 host" mpirun -n 3 "$thaw" devices
for rank in 0 1 2; do
    [ "$(grep -c "rank $rank on $(hostname): " said)" = 1 ] || fail "not one line for rank $rank: $(cat said)"
done
expect 0 "slurm      job 77, tasks 1, nodes 1, on node7" \
    env SLURM_JOB_ID=77 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=node7 "$thaw" devices
expect 0 '"slurm": {"job": "77", "tasks": "1"}' env SLURM_JOB_ID=77 SLURM_NTASKS=1 "$thaw" devices --json

# tasks that MPI does not see: what is here is told all the same
expect 0 "8 tasks were started, but MPI sees only this one" env SLURM_NTASKS=8 "$thaw" devices
row cpu "works: oneDNN "
expect 1 "thaw: 8 tasks were started" env SLURM_NTASKS=8 "$thaw" devices --require cpu

# for scripts
expect 0 "" "$thaw" devices --require cpu
expect 2 "--require tpu: allowed are cpu, cuda" "$thaw" devices --require tpu
expect 2 "takes options alone, not 'job.yaml'" "$thaw" devices job.yaml
expect 0 "usage: [mpirun -n N] thaw devices [options]" "$thaw" help devices

# --- no GPU ----------------------------------------------------------------------------------------------------------------

none="there is no NVIDIA driver here"
if "$thaw" devices | grep -q "^cuda .*this build has no GPU backend"; then
    expect 1 "thaw: cuda does not work here: this build has no GPU backend" "$thaw" devices --require cuda
elif "$thaw" devices | grep -q "^cuda .*$none"; then
    expect 0 "" "$thaw" devices
    row cuda "does not work: no GPU: $none"
    grep -qE "libraries: CUDA [0-9.]+, cuDNN [0-9.]+, cuBLASLt [0-9.]+, NCCL [0-9.]+$" said || fail "no versions: $(cat said)"
    grep -q "rank 0 on $(hostname): no GPU, $(nproc) cores\?$" said || fail "rank 0: $(cat said)"
    grep -qF "{\"name\": \"cuda\", \"works\": false, \"why_not\": \"no GPU: $none\", \"versions\": \"CUDA " devices.json ||
        fail "JSON of cuda: $(cat devices.json)"
    begun=$(date +%s%N)
    expect 1 "thaw: cuda does not work here: no GPU: $none" "$thaw" devices --require cuda
    [ $(($(date +%s%N) - begun)) -lt 5000000000 ] || fail "it takes $((($(date +%s%N) - begun) / 1000000)) ms"
    expect 1 "thaw: cuda does not work here: no GPU: $none" mpirun -n 2 "$thaw" devices --require cuda
    [ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
    small_job 1 1 1
    expect 1 "thaw: no GPU: $none" "$thaw" train job.yaml --set device=cuda
    expect 1 "thaw: no GPU: $none" mpirun -n 2 "$thaw" plan job.yaml --set device=cuda
    [ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
    [ ! -e runs ] || fail "a run without a GPU left $(find runs)"

    # a driver that only has the name: then what the module lacks is told
    mkdir alone driver
    cp "$thaw" alone/thaw
    ln -s "$(ldd "$thaw" | sed -n 's/.* => \(.*libm\.so[^ ]*\) .*/\1/p' | head -n 1)" driver/libcuda.so.1
    with_driver() { env LD_LIBRARY_PATH="$PWD/driver${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}" "$@"; }
    expect 1 "thaw: cuda does not work here: no GPU: there is no 'thaw-cuda.so' beside the program" \
        with_driver alone/thaw devices --require cuda
    row cpu "works: oneDNN "
    expect 1 "thaw: no GPU: there is no 'thaw-cuda.so' beside the program" with_driver alone/thaw train job.yaml --set device=cuda
    sed 's/libcudnn\.so\.9/libcudnx.so.9/' "$(dirname "$thaw")/thaw-cuda.so" >alone/thaw-cuda.so
    expect 1 "/alone/thaw-cuda.so': libcudnx.so.9: cannot open shared object file" with_driver alone/thaw devices --require cuda
    expect 1 "; device: cpu does without" with_driver alone/thaw train job.yaml --set name=auto
    expect 0 "" with_driver alone/thaw train job.yaml --set name=cpu --set device=cpu
    head -c 100000 "$(dirname "$thaw")/thaw-cuda.so" >alone/thaw-cuda.so
    expect 0 "is not whole, or no program file" with_driver alone/thaw devices
else
    expect 0 "" "$thaw" devices --require cuda
    grep -qE "GPU 0: .*, [0-9.]+ of [0-9.]+ GiB free, compute capability [0-9.]+, [0-9]+ multiprocessors$" said ||
        fail "no facts of GPU 0: $(cat said)"
    expect 0 "CUDA_VISIBLE_DEVICES='' leaves none visible" env CUDA_VISIBLE_DEVICES= "$thaw" devices
fi

finish
