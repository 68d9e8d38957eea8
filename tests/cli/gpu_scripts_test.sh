#!/usr/bin/env bash
# gpu_scripts_test.sh THAW: tools/test-gpu.sh and tools/bench-gpu.sh as far as they go without a GPU: what they refuse, what they
# say where there is none, the same steps on the CPU, and that what they compare with can fail.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"
build=(--build "$(dirname "$thaw")")
tests=$source/tools/test-gpu.sh bench=$source/tools/bench-gpu.sh

# --- words -----------------------------------------------------------------------------------------------------------------

scripts=("$tests" "$bench" "$source"/tools/gpu-lib.sh "$source"/tools/bundle.sh "$source"/tools/bundle/launch
    "$source"/tests/cli/{bundle,gpu_scripts}_test.sh)
for script in "${scripts[@]}"; do
    bash -n "$script" || fail "bash -n $script"
done
if command -v shellcheck >/dev/null; then
    # SC2317: functions that are handed to another as arguments are reached. SC2154, SC2034: what lib.sh sets and reads.
    (cd "$source" && shellcheck -x -P SCRIPTDIR -S warning -e SC2317,SC2154,SC2034 "${scripts[@]}") || fail "shellcheck"
fi

# refused WORDS COMMAND...: exit code 2, and one line
refused() {
    expect 2 "$@"
    [ "$(wc -l <said)" = 1 ] || fail "$*: not one line: $(cat said)"
}
expect 0 "--minutes M" "$tests" --help
grep -qx "    killed and resumed" said || fail "test-gpu.sh --help names no steps: $(cat said)"
expect 0 "bench-gpu.sh PYTHON" "$bench" --help
refused "unknown option '--fast': there are --minutes" "$tests" --fast
refused "--minutes needs a value" "$tests" --minutes
refused "--minutes 'soon': a whole number is wanted" "$tests" --minutes soon
refused "--photos 'none': no folder" "$tests" --photos none
refused "--build 'none': no folder" "$tests" --build none
refused "there is no" "$tests" --build .
refused "which Python has torch?" "$bench"
refused "there is no Python 'none'" "$bench" none
refused "unknown option '--rounds'" "$bench" --rounds
refused "--minutes 'soon'" "$bench" sh --minutes soon

# --- no GPU ----------------------------------------------------------------------------------------------------------------

. "$source/tools/gpu-lib.sh"
if ! has_gpu; then
    for command in "$tests" "$bench sh"; do
        # shellcheck disable=SC2086
        expect 77 "skipped: no GPU here" timeout 10 $command "${build[@]}"
        [ "$(wc -l <said)" = 1 ] || fail "$command: not one line: $(cat said)"
        [ ! -e gpu-tests ] || fail "$command leaves files where it does nothing"
    done
fi

# --- what is compared ------------------------------------------------------------------------------------------------------

metrics() { # ROW...: a metrics.csv of two phases
    printf '%s\n' "epoch,phase,trained,lr,train_loss,train_top1,val_loss,val_top1" "$@"
}
metrics 1,1,fc,0.1,1.5,0.4,2.00,0.5 2,2,all,0.1,0.5,0.8,0.25,0.9 >want.csv

# compared CODE WORDS "LIMITS..." ROW...
compared() {
    local code=$1 words=$2 limits=$3
    shift 3
    metrics "$@" >got.csv
    # shellcheck disable=SC2086
    expect "$code" "$words" compare_metrics want.csv got.csv $limits
}
one=1,1,fc,0.1,1.5,0.4,2.00,0.5 two=2,2,all,0.1,0.5,0.8,0.25,0.9
compared 0 "differ at most: losses 0 and 0, accuracies 0 and 0" "0 0" $one $two
compared 0 "losses 0 and 0.05, accuracies 0.01 and 0" "0.051 0.011" 1,1,fc,0.1,1.5,0.41,2.1,0.5 $two # 0.1 of 2 is 0.05
compared 1 "epoch 1: val_loss is 2.00, and 2.1, allowed are 0.049" "0.049 0.011" 1,1,fc,0.1,1.5,0.41,2.1,0.5 $two
compared 1 "epoch 1: train_top1 is 0.4, and 0.41" "0.051 0.009" 1,1,fc,0.1,1.5,0.41,2.1,0.5 $two
compared 1 "epoch 2: train_loss is 0.5, and 0.45" "0.049 0.1" $one 2,2,all,0.1,0.45,0.8,0.25,0.9 # below 1: as it is
compared 0 "" "0.001 0.001 0.051 0.001" $one 2,2,all,0.1,0.45,0.8,0.25,0.9
compared 1 "epoch 1" "0.001 0.001 0.051 0.001" 1,1,fc,0.1,1.45,0.4,2.00,0.5 $two
compared 1 'train_loss is "0.5", and "nan"' "9 9" $one 2,2,all,0.1,nan,0.8,0.25,0.9
compared 1 'val_loss is "0.25", and "inf"' "9 9" $one 2,2,all,0.1,0.5,0.8,inf,0.9
compared 1 'val_top1 is "0.9", and ""' "9 9" $one 2,2,all,0.1,0.5,0.8,0.25,
compared 1 "2 epochs, and 1" "9 9" $one
compared 1 "2 epochs, and 3" "9 9" $one $two 3,2,all,0.1,0.5,0.8,0.25,0.9
compared 1 "2 epochs, and" "9 9"
: >got.csv
expect 1 "epochs, and" compare_metrics want.csv got.csv 9 9
expect 2 "" compare_metrics want.csv none.csv 9 9

expect 0 "training loss from 1.5 to 0.5" learned want.csv
metrics $two $one >got.csv
expect 1 "training loss from 0.5 to 1.5" learned got.csv
metrics $one >got.csv
expect 1 "" learned got.csv
metrics $one 2,2,all,0.1,nan,0.8,0.25,0.9 >got.csv
expect 1 "" learned got.csv

printf '%s\n' "thaw: warning: a" "thaw: b" c >lines
one_line_of lines || fail "one line is not one"
echo "thaw: d" >>lines
one_line_of lines && fail "two lines are one"

is() { # WANT GOT
    [ "$1" = "$2" ] || fail "'$2', want '$1'"
}
printf '%s\n' 9 10 1 >numbers
is 9 "$(median numbers)"
echo 30 >>numbers
is 9.5 "$(median numbers)"
is - "$(median none)"
is 2.50x "$(ratio 5 2)"
is - "$(ratio 5 -)"
is 1e3 "$(best - 900 1e3 nan)"
is - "$(best - -)"
is 12.5 "$(printf '%s\n' '{"a": 3, "b": 1}' '{"a": 12.5, "gpu_b": null}' | number_of 'x|a')"
is '' "$(echo '{"a": null}' | number_of a)"
cat >kernels.csv <<'END_OF_CSV'
Processing [profile.sqlite]

Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name
50.0,500,2,1.0,1.0,1,1,0.0,"void cutlass__5x_cudnn::Kernel<cutlass_tensorop_f16_s16816fprop_optimized>(T1::Params, int)"
20.0,200,2,1.0,1.0,1,1,0.0,norm_gradient_sums
10.0,100,2,1.0,1.0,1,1,0.0,nvjet_hsh_64x8_64x16
10.0,100,2,1.0,1.0,1,1,0.0,update
5.0,50,2,1.0,1.0,1,1,0.0,"ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096>)"
5.0,50,2,1.0,1.0,1,1,0.0,max_pool
END_OF_CSV
is "convolution 50.0 %, batch norm 20.0 %, matrix products 10.0 %, optimizer 10.0 %, communication 5.0 %, the rest 5.0 %" \
    "$(shares kernels.csv)"
shares numbers >said && fail "shares of nothing: $(cat said)"

# --- the same on the CPU -----------------------------------------------------------------------------------------------------

export OUT=$work/out OMP_WAIT_POLICY=passive
expect 0 "gpu: 9 passed, 0 skipped, 0 failed" "$tests" --dry "${build[@]}"
find_programs "$source" "$(dirname "$thaw")"
runs=$OUT/work/runs
expect 0 "tensors are the same" same_tensors "$runs/whole/last.h5" "$runs/killed/last.h5"
expect 1 "differ: " same_tensors "$runs/whole/last.h5" "$runs/whole/previous.h5"
expect 1 "" same_tensors "$runs/whole/last.h5" none.h5
expect 0 "skipped      0 s  pictures and jobs (time)" "$tests" --dry --minutes 0 --only pictures "${build[@]}"

# A step that fails is told, and the others go on: thaw that trains nothing.
mkdir broken
printf '#!/bin/sh\n[ "$1" = train ] && exit 1\nexec "%s" "$@"\n' "$thaw" >broken/thaw
chmod +x broken/thaw
expect 1 "gpu: 2 passed, 1 skipped, 6 failed" "$tests" --dry --build broken

# The table, with a PyTorch that does everything in no time.
cat >python <<'END_OF_PYTHON'
#!/bin/sh
case $1 in
-c) echo 2.0 ;;
*)
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ ! -e watching ] || [ -e looked ] || sleep 0.3; done
    echo '{"images_per_second": 1.000, "first_step_seconds": 2.5, "allocated_mib": null}'
    ;;
esac
END_OF_PYTHON
chmod +x python
ROUNDS=2 expect 0 "ratio to PyTorch" "$bench" ./python --dry "${build[@]}"
grep -qE '^\| ResNet-18, batch 4, all layers, img/s \| [0-9.]+ \| 1 \| - \| [0-9.]+x \| - \|$' said || fail "the table: $(cat said)"
grep -qE '^\| start to end of its first step, s \| [0-9.]+ \| 2.5 \| - \| [0-9.]+x \| - \|$' said || fail "the table: $(cat said)"
grep -q '^left out: ResNet-18, batch 4, all layers, torch.compile fp32$' said || fail "nothing is left out: $(cat said)"
expect 0 "left out: ResNet-18, batch 4, layer4 and head" "$bench" ./python --dry --minutes 0 "${build[@]}"

# All rows, on a GPU that is as made up: thaw takes a second for 2 pictures in bf16 and for 3 in fp16, with 40 MiB. What is
# watched, thaw or PyTorch, ends no sooner than its memory was looked at.
mkdir pretended
cat >pretended/thaw <<END_OF_THAW
#!/bin/sh
for _ in 1 2 3 4 5 6 7 8 9 10; do [ ! -e watching ] || [ -e looked ] || sleep 0.3; done
case "\$*" in
train*bf16*) echo '{"event": "speed", "first_step_seconds": 0.5, "images_per_second": 2.00, "memory_mib": 7}' ;;
train*fp16*) echo '{"event": "speed", "first_step_seconds": 1.25, "images_per_second": 3.00, "gpu_memory_mib": 40}' ;;
*) exec "$thaw" "\$@" ;;
esac
END_OF_THAW
cat >pretended/nvidia-smi <<'END_OF_SMI'
#!/bin/sh
case "$*" in
-L) echo "GPU 0: made up" ;;
*memory.used*)
    if [ -e watching ]; then
        : >looked
        echo 1500
    else
        rm -f looked
        echo 1000
    fi
    ;;
*) echo "made up, 1" ;;
esac
END_OF_SMI
cp "$(dirname "$thaw")/tools/bench/bench_loader" pretended/ 2>/dev/null || printf '#!/bin/sh\necho 7\n' >pretended/bench_loader
chmod +x pretended/*
PATH=$PWD/pretended:$PATH ROUNDS=1 expect 0 "made up, 1, " "$bench" ./python --build pretended --photos "$OUT/work/drawn"
while read -r row; do
    grep -qxF "$row" said || fail "no '$row' in: $(grep '^|' said)"
done <<'END_OF_ROWS'
| ResNet-50, batch 256, all layers, img/s | 2 | 3 | 1 | 1 | 1 | 1 | 3.00x | 3.00x |
| start to end of its first step, s | 0.5 | 1.25 | 2.5 | 2.5 | 2.5 | 2.5 | 5.00x | 5.00x |
| its memory in use on the GPU, MiB | 500 | 500 | 500 | 500 | 500 | 500 | 1.00x | 1.00x |
| the same, as the program counts, MiB | - | 40 | - | - | - | - | - | - |
| ResNet-18, batch 32, all layers, img/s | 2 | 3 | 1 | 1 | - | 1 | 3.00x | 3.00x |
| ResNet-50, batch 256, the head, img/s | 2 | 3 | 1 | 1 | - | 1 | 3.00x | 3.00x |
END_OF_ROWS
[ "$(grep -c '^| ResNet-.* img/s |' said)" = 6 ] || fail "not six rows: $(cat said)"
grep -q "^left out: " said && fail "left out, though there was time: $(cat said)"
finish
