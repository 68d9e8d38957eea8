#!/usr/bin/env bash
# test-gpu.sh [OPTIONS]: tests of the GPU backend on a GPU: of a bundle, or of a build in a source tree.
#
#   --minutes M     begins no step after so long (14)
#   --photos DIR    a folder of class folders, in train/ and val/, to train on; without it, pictures are drawn
#   --build FOLDER  the programs (build/release)
#   --only WORDS    only the steps whose name holds one of these words, separated by commas
#   --dry           on the CPU, and small: tries this script where there is no GPU
#   -h, --help
#
# Needs no network and installs nothing. What each step says is in a file of $OUT (gpu-tests). Exit code: 0 all passed, 1 one
# has failed, 77 there is no GPU. What is worth most comes first.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit
. "$root/tools/gpu-lib.sh"
. "$root/tools/mpi-env.sh"

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
    echo
    echo "Steps:"
    sed -n 's/^ *step "\([^"]*\)".*/    \1/; T; s/\$number_type/TYPE/; p' "$0"
}

refuse() { # WORDS...: the command line cannot be used
    echo "test-gpu.sh: $*" >&2
    exit 2
}

minutes=14 photos='' build='' only='' device=cuda
while [ $# -gt 0 ]; do
    case $1 in
    --minutes | --photos | --build | --only)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        case $1 in
        --minutes) minutes=$2 ;;
        --photos) photos=$2 ;;
        --build) build=$2 ;;
        --only) only=$2 ;;
        esac
        shift
        ;;
    --dry) device=cpu ;;
    -h | --help)
        usage
        exit
        ;;
    *) refuse "unknown option '$1': there are --minutes, --photos, --build, --only and --dry" ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+$ ]] || refuse "--minutes '$minutes': a whole number is wanted"
[ -z "$photos" ] || [ -d "$photos/train" ] || refuse "--photos '$photos': no folder with a train/ in it"
[ -z "$build" ] || [ -d "$build" ] || refuse "--build '$build': no folder"
photos=${photos:+$(realpath "$photos")}
find_programs "$root" "${build:+$(realpath "$build")}" || exit
if [ $device = cuda ] && ! has_gpu; then
    echo "skipped: no GPU here: nvidia-smi shows none, and there is no /dev/nvidia0"
    exit 77
fi
out=${OUT:-gpu-tests}
mkdir -p "$out" && cd "$out" || exit
rm -rf work ./*.log
mkdir work && cd work || exit
export THAW_CACHE=$PWD/cache
deadline=$((SECONDS + 60 * minutes))

# --- steps ---------------------------------------------------------------------------------------------------------------

results=()
failed=0
number=0

# Exit codes of a step: 0 passed, 77 skipped, 88 cut short by the end of the time, others failed.

# step "NAME" COMMAND...: runs it with its output in a file, and keeps verdict and time for the summary.
step() {
    local name=$1 begun=$SECONDS verdict=passed log why=''
    shift
    wanted "$name" || return 0
    number=$((number + 1))
    log=../$(printf '%02d' $number)-${name//[^a-z0-9]/-}.log
    if [ $SECONDS -ge $deadline ]; then
        verdict='skipped' why=' (time)'
    else
        ("$@") >"$log" 2>&1
        case $? in
        0) why=$(sed -n 's/^== /: /p' "$log" | tail -n 1) ;;
        77) verdict=skipped why=" ($(tail -n 1 "$log"))" ;;
        88) verdict=skipped why=' (time)' ;;
        *) verdict=FAILED failed=1 why=": $(tail -n 1 "$log" | cut -c 1-160)" ;;
        esac
    fi
    results+=("$(printf '%-9s %4d s  %s%s' "$verdict" $((SECONDS - begun)) "$name" "$why")")
    echo "${results[-1]}"
}

# wanted NAME: whether --only lets it run.
wanted() {
    local words word
    [ -n "$only" ] || return 0
    IFS=, read -ra words <<<"$only"
    for word in "${words[@]}"; do
        [[ $1 != *"$word"* ]] || return 0
    done
    return 1
}

# skip WHY: ends a step.
skip() {
    echo "$*"
    exit 77
}

# within SECONDS COMMAND...: with this limit, or what is left of the time; ends the step when the time is over.
within() {
    local limit=$1 left=$((deadline - SECONDS)) got
    shift
    [ $left -gt 0 ] || exit 88
    timeout -k 10 $((limit < left ? limit : left)) "$@"
    got=$?
    if [ $got = 124 ] && [ $SECONDS -ge $deadline ]; then exit 88; fi
    [ $got != 124 ] || echo "did not end within $limit s: $*"
    return $got
}

# of_build NAME: skips the step where a program was not built.
of_build() {
    has_program "$1" || skip "no $1 in this build"
}

# --- what there is ---------------------------------------------------------------------------------------------------------

facts() {
    thaw --version || return
    if [ $device = cuda ]; then
        [[ $(within 60 thaw --version) =~ device\ +cuda\ +([^$'\n']*) ]] || { echo "a build without cuda"; return 1; }
        [[ ${BASH_REMATCH[1]} != "no GPU"* ]] || { echo "${BASH_REMATCH[1]}"; return 1; }
        if [[ $(thaw --help) == *"thaw devices"* ]]; then within 60 thaw devices || return; fi
        echo "== ${BASH_REMATCH[1]}"
    fi
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi || return
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,compute_mode,mig.mode.current --format=csv
    fi
}

properties() {
    of_build device_json
    within 60 device_json >../device.json || return
    grep -q deviceName ../device.json || { echo "no deviceName in device.json"; return 1; }
    echo "== $(sed -n 's/.*"deviceName": *"\([^"]*\)".*/\1/p' ../device.json), device.json"
}

# test_program LIMIT NAME ARGUMENTS...: one of the build's tests; they say "skipped" themselves, which is wrong with a GPU.
test_program() {
    local limit=$1
    shift
    of_build "$1"
    within "$limit" "$@"
    case $? in
    0) ;;
    77) echo "$1 found no GPU, and there is one" && return 1 ;;
    *) return 1 ;;
    esac
}

# --- runs ----------------------------------------------------------------------------------------------------------------

# Pictures, shards and two jobs: photos.yaml, three phases of a ResNet-18, and small.yaml, a ResNet-20 of 32 pixels.
prepare() {
    local resize=160 crop=128 arch=resnet18 last=layer4 batch=32 epochs=2 threads=0
    [ -z "$photos" ] || resize=256 crop=224
    [ $device = cuda ] || resize=36 crop=32 arch=resnet20 last=layer3 epochs=1 threads=1
    thaw demo drawn --train 26 --val 14 --size 40 || return
    thaw pack drawn -o small --resize 36 || return
    if [ -z "$photos" ]; then
        if [ $device = cuda ]; then thaw demo pictures --train 60 --val 30 --size 160; else ln -s drawn pictures; fi || return
    fi
    thaw pack "${photos:-pictures}" -o data --resize $resize || return
    cat >photos.yaml <<END_OF_JOB
model: {arch: $arch}
data: {train: data/train-*.h5, val: data/val-*.h5, crop: $crop}
batch: $batch
threads: $threads
batchnorm: train
optimizer: {lr: 0.001}
phases:
  - {epochs: $epochs, train: [fc]}
  - {epochs: $epochs, train: [$last, fc]}
  - {epochs: $epochs, train: all, lr: 0.0005}
END_OF_JOB
    cat >small.yaml <<END_OF_JOB
model: {arch: resnet20}
data: {train: small/train-*.h5, val: small/val-*.h5, crop: 32}
batch: 16
device: $device
threads: 1
batchnorm: train
optimizer: {lr: 0.02}
phases:
  - {epochs: $epochs, train: [fc]}
  - {epochs: $epochs, train: all}
END_OF_JOB
}

# train LIMIT JOB NAME SETTINGS...: a run of this name.
train() {
    local limit=$1 job=$2 name=$3 sets=() set
    shift 3
    for set in "$@"; do sets+=(--set "$set"); done
    within "$limit" thaw train "$job" --set "name=$name" "${sets[@]}" --progress 0
}

cpu_run() {
    train 400 photos.yaml cpu device=cpu precision=fp32 && learned runs/cpu/metrics.csv
}

# against_cpu NUMBER LOSS ACCURACY LOSS ACCURACY: the same job on the device in this type of numbers.
against_cpu() {
    [ -e runs/cpu/metrics.csv ] || skip "there is no run on the CPU to compare with"
    train 300 photos.yaml "$1" "device=$device" "precision=$1" || return
    learned "runs/$1/metrics.csv" || return
    compare_metrics runs/cpu/metrics.csv "runs/$1/metrics.csv" "${@:2}" | sed 's/^differ at most/== &/'
    return "${PIPESTATUS[0]}"
}

# graphs PRECISION: recorded and launched one by one, the bytes are the same.
graphs() {
    train 120 small.yaml "graphs-$1" "precision=$1" || return
    train 120 small.yaml "eager-$1" "precision=$1" graphs=false || return
    same_tensors "runs/graphs-$1/last.h5" "runs/eager-$1/last.h5"
}

# rich: all that a step may have, and a phase that freezes again what the one before it trained, against the CPU.
rich() {
    local sets=(precision=fp32 optimizer.kind=adamw optimizer.lr=0.0005 optimizer.weight_decay=0.05 optimizer.clip=0.5
        average.decay=0.9 loss.class_weights=balanced loss.smoothing=0.1
        'phases=[{epochs: 2, train: [layer3, fc], augment: {mixup: 0.4}}, {epochs: 1, train: [fc], augment: {flip: 1}}]')
    train 120 small.yaml rich-cpu "${sets[@]}" device=cpu || return
    train 120 small.yaml rich "${sets[@]}" || return
    # Losses of two of the CPU's convolutions differ by 4e-5, of a simulated GPU by 6e-5; by 5e-3 were only part of an average to move.
    compare_metrics runs/rich-cpu/metrics.csv runs/rich/metrics.csv 1e-3 0.03 | sed 's/^differ at most/== &/'
    return "${PIPESTATUS[0]}"
}

# twice: the same command makes the same bytes.
twice() {
    train 120 small.yaml once || return
    train 120 small.yaml again || return
    same_tensors runs/once/last.h5 runs/again/last.h5
}

# Two ranks on one GPU, each on a host of its own as NCCL sees it: it refuses two on one GPU of one host.
as_hosts() { # COMMAND...
    # shellcheck disable=SC2016
    THAW_GPU=0 NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1 NCCL_MAX_CTAS=2 within 120 mpirun -n 2 \
        sh -c 'NCCL_HOSTID=thaw-$OMPI_COMM_WORLD_RANK exec "$@"' - "$@"
}

# two_ranks COMM: two ranks, summed that way, against one that computes both replicas.
two_ranks() {
    command -v mpirun >/dev/null || skip "no mpirun"
    local comm=(--set "comm=$1")
    [ $device = cuda ] || comm=()
    [ -e runs/replicas/metrics.csv ] || train 120 small.yaml replicas replicas=2 || return
    as_hosts thaw train small.yaml --set "name=ranks-$1" --set replicas=2 "${comm[@]}" --progress 0 || return
    compare_metrics runs/replicas/metrics.csv "runs/ranks-$1/metrics.csv" 1e-4 0.03 || return
    if same_tensors runs/replicas/last.h5 "runs/ranks-$1/last.h5"; then echo "== the same bytes"; else echo "== within rounding"; fi
}

# Killed within epochs that lie apart, and started again each time.
resume() {
    local phases='phases=[{epochs: 3, train: fc}, {epochs: 12, train: all}]' at=(1 4 7 10) kills=0 epochs pid got
    [ $device = cuda ] || { phases='phases=[{epochs: 1, train: fc}, {epochs: 4, train: all}]' at=(1 2 3); }
    train 120 small.yaml whole "$phases" || return
    for epochs in "${at[@]}"; do
        thaw train small.yaml --set name=killed --set "$phases" --progress 0 &
        pid=$!
        while kill -0 $pid 2>/dev/null && [ "$(cat runs/killed/metrics.csv 2>/dev/null | wc -l)" -le $epochs ]; do
            [ $SECONDS -lt $deadline ] || { kill -9 $pid; exit 88; }
            sleep 0.01
        done
        sleep "0.0$((epochs % 10))"
        kill -9 $pid 2>/dev/null
        wait $pid
        got=$?
        case $got in
        0) ;;
        137) kills=$((kills + 1)) ;;
        *) return 1 ;;
        esac
    done
    train 120 small.yaml killed "$phases" || return
    [ $kills -ge 3 ] || { echo "killed only $kills times"; return 1; }
    same_tensors runs/whole/last.h5 runs/killed/last.h5 && same_tensors runs/whole/best.h5 runs/killed/best.h5 &&
        echo "== killed $kills times"
}

out_of_memory() {
    local got
    within 60 thaw train small.yaml --steps 1 --set model.arch=resnet152 --set data.crop=4096 --set batch=64 \
        --set 'phases=[{epochs: 1, train: all}]' >said 2>&1
    got=$?
    cat said
    [ $got = 78 ] || { echo "exit code $got, want 78"; return 1; }
    one_line_of said || { echo "not one line"; return 1; }
}

# sanitize TOOL: compute-sanitizer over three steps. Under it, convolutions would be timed for minutes: their plans are kept by
# the same command without it.
sanitize() {
    local sanitizer
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    [ -x "$sanitizer" ] || skip "no compute-sanitizer"
    within 120 thaw train small.yaml --steps 3 || return
    export -f under
    # shellcheck disable=SC2016
    bundled=$bundled within 240 bash -c 'under "$@"' - "$sanitizer --tool $1 --error-exitcode 9" \
        thaw train small.yaml --steps 3
}

step "devices and facts" facts
if [ $device = cuda ]; then
    step "properties as cudnn sees them" properties
    step "operations against pytorch" test_program 120 op_golden_test_cuda "$fixtures" cuda
    for number_type in fp32 bf16 fp16; do
        step "operations against the reference, $number_type" test_program 240 op_parity_test_cuda cuda 2 $number_type
    done
    step "sums of one rank" test_program 120 nccl_open_test gpu
    step "optimizers" test_program 120 update_test_cuda
    step "networks against pytorch" test_program 240 net_golden_test_cuda "$fixtures" cuda 80 fp32 all
    step "networks in fp16 against pytorch" test_program 240 net_golden_test_cuda "$fixtures" cuda 20000 fp16 all
fi
step "pictures and jobs" prepare
if wanted "three phases"; then
    step "three phases, cpu" cpu_run
    # Losses, as a part, and accuracies; where parts are frozen, and where all trains. Two algorithms of the CPU's own
    # convolutions, on photographs at 224 pixels, were seen to differ by 3e-7 and 0, and by 0.011 and 0.021; a ResNet-20
    # on a simulated GPU differed from the CPU by 1e-5 in fp32, 1.4e-4 in fp16 and 5.4e-4 in bf16. A deeper network, with
    # other convolutions, is allowed more.
    step "three phases, fp32 against cpu" against_cpu fp32 1e-3 0.01 0.06 0.06
    if [ $device = cuda ]; then
        step "three phases, fp16 against cpu" against_cpu fp16 0.01 0.05 0.1 0.1
        step "three phases, bf16 against cpu" against_cpu bf16 0.02 0.08 0.15 0.15
    fi
fi
step "a rich job against the cpu" rich
step "the same command twice" twice
if [ $device = cuda ]; then
    step "graphs against launches, fp32" graphs fp32
    step "graphs against launches, fp16" graphs fp16
    step "two ranks on one gpu, nccl" two_ranks nccl
fi
step "two ranks, mpi" two_ranks mpi
step "killed and resumed" resume
step "out of memory" out_of_memory
if [ $device = cuda ]; then
    step "memcheck" sanitize memcheck
    step "racecheck" sanitize racecheck
fi

printf '\n'
[ ${#results[@]} != 0 ] || refuse "--only '$only' names no step: see the words of step in this script"
printf '%s\n' "${results[@]}"
printf 'gpu: %d passed, %d skipped, %d failed\n' "$(printf '%s\n' "${results[@]}" | grep -c ^passed)" \
    "$(printf '%s\n' "${results[@]}" | grep -c ^skipped)" "$(printf '%s\n' "${results[@]}" | grep -c ^FAILED)"
exit $failed
