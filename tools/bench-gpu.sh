#!/usr/bin/env bash
# bench-gpu.sh PYTHON [OPTIONS]: thaw against PyTorch on this machine's GPU, side by side; prints a table in Markdown.
#
#   --minutes M     begins no measure after so long, and says what was left out (14)
#   --photos DIR    a folder of class folders, in train/ and val/; without it, pictures are drawn
#   --build FOLDER  the programs (build/release, or the bundle this script is in)
#   --dry           on the CPU, two steps of a ResNet-18: tries this script where there is no GPU
#   -h, --help
#
# PYTHON has torch and torchvision, and h5py for the row of the loader. What is worth most comes first. ROUNDS=N (3) rounds
# of all that is compared are interleaved, so that whatever else the machine does meets all; the table has their medians.
# torch.compile, which takes a minute to begin, has one. Nothing else should run.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit
. "$root/tools/gpu-lib.sh"
. "$root/tools/mpi-env.sh"
bench=$root/tools/bench/torch_gpu_bench.py

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
}

refuse() { # WORDS...: the command line cannot be used
    echo "bench-gpu.sh: $*" >&2
    exit 2
}

python='' minutes=14 photos='' build='' device=cuda
while [ $# -gt 0 ]; do
    case $1 in
    --minutes | --photos | --build)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        case $1 in
        --minutes) minutes=$2 ;;
        --photos) photos=$2 ;;
        --build) build=$2 ;;
        esac
        shift
        ;;
    --dry) device=cpu ;;
    -h | --help)
        usage
        exit
        ;;
    -*) refuse "unknown option '$1': there are --minutes, --photos, --build and --dry" ;;
    *)
        [ -z "$python" ] || refuse "one PYTHON is used, not '$python' and '$1'"
        python=$1
        ;;
    esac
    shift
done
[ -n "$python" ] || refuse "which Python has torch? bench-gpu.sh PYTHON"
command -v "$python" >/dev/null || refuse "there is no Python '$python'"
python=$(command -v "$python")
[[ $python = /* ]] || python=$PWD/$python
[[ $minutes =~ ^[0-9]+$ ]] || refuse "--minutes '$minutes': a whole number is wanted"
[ -z "$photos" ] || [ -d "$photos/train" ] || refuse "--photos '$photos': no folder with a train/ in it"
[ -z "$build" ] || [ -d "$build" ] || refuse "--build '$build': no folder"
photos=${photos:+$(realpath "$photos")}
find_programs "$root" "${build:+$(realpath "$build")}" || exit
if [ $device = cuda ] && ! has_gpu; then
    echo "skipped: no GPU here: nvidia-smi shows none, and there is no /dev/nvidia0"
    exit 77
fi
"$python" -c 'import torch' 2>/dev/null || refuse "'$python' cannot import torch"
[ $device = cpu ] || "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    refuse "the torch of '$python' sees no GPU"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
export THAW_CACHE=$work/cache
deadline=$((SECONDS + 60 * minutes))
rounds=${ROUNDS-3} precisions=(bf16 fp16) crop=224 resize=256 drawn=1000 threads=$(nproc)
[ $device = cuda ] || { rounds=${ROUNDS-1} precisions=(fp32) crop=64 resize=72 drawn=8 threads=2; }

# --- one configuration -----------------------------------------------------------------------------------------------------

# A configuration runs in a process of its own and leaves its numbers in files KEY.WHO.PRECISION.{speed,start,cold,used,own}.

# watched FILE COMMAND...: the command, and into FILE the most memory in MiB that the GPU had in use besides what it had before.
watched() {
    local file=$1 before watcher got
    shift
    if [ $device = cpu ] || ! command -v nvidia-smi >/dev/null; then
        "$@"
        return
    fi
    before=$(nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits)
    : >watching
    while [ -e watching ]; do # ends by itself: a subshell that is killed at once may still have the trap of its parent
        nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits
        sleep 0.1
    done >watched.txt 2>/dev/null &
    watcher=$!
    "$@"
    got=$?
    rm watching
    wait $watcher
    sort -n watched.txt | tail -n 1 | awk -v before="$before" '{print $1 - before}' >>"$file"
    return $got
}

# keep KEY JSON-FILE OWN-MEMORY: the numbers of a process that ended well.
keep() {
    number_of images_per_second <"$2" >>"$1.speed"
    number_of first_step_seconds <"$2" >>"$1.start"
    number_of "$3" <"$2" >>"$1.own"
    [ -s "$1.speed" ]
}

# of_thaw PRECISION ARCH BATCH TRAIN STEPS: a run of so many steps, into said.json
of_thaw() {
    thaw train job.yaml --json --progress 0 --steps "$5" --set "device=$device" --set "precision=$1" --set "model.arch=$2" \
        --set "batch=$3" --set "phases=[{epochs: 100000, train: $4}]" >said.json 2>said.txt
}
export -f of_thaw
export device

# measure_thaw KEY PRECISION ARCH BATCH TRAIN STEPS
measure_thaw() {
    watched "$1.used" timeout 120 bash -c 'of_thaw "$@"' - "${@:2}" &&
        keep "$1" said.json "gpu_memory_mib|device_memory_mib"
}

# warm_thaw KEY PRECISION ARCH BATCH TRAIN: a first run, which times convolutions for minutes and keeps their plans for the
# measured ones. It ends with the time for all.
warm_thaw() {
    local left=$((deadline - SECONDS))
    timeout $((left < 300 ? (left > 1 ? left : 1) : 300)) bash -c 'of_thaw "$@"' - "${@:2}" 2 &&
        number_of first_step_seconds <said.json >>"$1.cold"
}

# measure_torch KEY PRECISION ARCH BATCH WHAT STEPS [--compile]
measure_torch() {
    local steps=()
    [ $device = cuda ] || steps=(--steps "$6" --rounds 1)
    watched "$1.used" timeout 240 "$python" "$bench" train --precision "$2" --arch "$3" --batch "$4" --what "$5" --crop $crop \
        --device $device "${steps[@]}" "${@:7}" >said.json 2>said.txt && keep "$1" said.json allocated_mib
}

# attempt KEY FUNCTION ...: one process; what went wrong is told, and the table has "-".
attempt() {
    printf '%4d s  %s\n' $SECONDS "$1" >&2
    "$2" "$1" "${@:3}" || tail -n 3 said.txt said.json | sed 's/^/        /' >&2
}

left_out=()

# late WHAT: the time is over, and WHAT is left out.
late() {
    [ $SECONDS -ge $deadline ] || return 1
    left_out+=("$1")
}

# compare KEY TITLE ARCH BATCH WHAT: all of one row, in rounds, and torch.compile once.
compare() {
    local key=$1 title=$2 arch=$3 batch=$4 what=$5 parts count=60 precision
    case $what in
    all) parts=all ;;
    layer4) parts='[layer4, fc]' ;;
    head) parts='[fc]' ;;
    esac
    [ "$batch" -ge 100 ] || count=300
    [ $device = cuda ] || count=2
    late "$title" && return
    for precision in "${precisions[@]}"; do
        attempt "$key.thaw.$precision" warm_thaw "$precision" "$arch" "$batch" "$parts"
    done
    for ((round = 1; round <= rounds; round++)); do
        ! late "$title, round $round" || break
        for precision in "${precisions[@]}"; do
            attempt "$key.thaw.$precision" measure_thaw "$precision" "$arch" "$batch" "$parts" $count
            attempt "$key.torch.$precision" measure_torch "$precision" "$arch" "$batch" "$what" $count
        done
    done
    rows+=("$key|$title")
}

# compile KEY TITLE ARCH BATCH WHAT PRECISION: torch.compile of that row.
compile() {
    [ $device = cuda ] || { left_out+=("$2, torch.compile $6"); return; }
    late "$2, torch.compile $6" && return
    attempt "$1.compiled.$6" measure_torch "$6" "$3" "$4" "$5" 0 --compile
}

# --- tables ----------------------------------------------------------------------------------------------------------------

# cell KEY WHO PRECISION WHAT: the median, or "-".
cell() {
    median "$1.$2.$3.$4"
}

# table_row KEY TITLE WHAT BETTER: of one quantity; BETTER is + or -, or "" for no ratios.
table_row() {
    local key=$1 what=$3 better=$4 precision who line="| $2 |" ours=() eager=() compiled=() value first
    for who in thaw torch compiled; do
        for precision in "${precisions[@]}"; do
            value=$(cell "$key" $who "$precision" "$what")
            line+=" $(awk -v v="$value" 'BEGIN {if (v == "-") print v; else printf "%.5g\n", v}') |"
            case $who in
            thaw) ours+=("$value") ;;
            torch) eager+=("$value") ;;
            compiled) compiled+=("$value") ;;
            esac
        done
    done
    if [ "$better" = + ]; then
        first=$(best "${ours[@]}")
        line+=" $(ratio "$first" "$(best "${eager[@]}")") | $(ratio "$first" "$(best "${compiled[@]}")") |"
    else
        first=$(least "${ours[@]}")
        line+=" $(ratio "$(least "${eager[@]}")" "$first") | $(ratio "$(least "${compiled[@]}")" "$first") |"
    fi
    echo "$line"
}

# least VALUE...: the smallest of the numbers, "-" where there are none.
least() {
    printf '%s\n' "$@" | awk '$1 + 0 > 0 && (text == "" || $1 + 0 < fewest) {fewest = $1 + 0; text = $1} END {print text == "" ? "-" : text}'
}

table() {
    local row key title precision head='| measure |' line='|---|' who
    for who in thaw PyTorch compiled; do
        for precision in "${precisions[@]}"; do head+=" $who $precision |" line+='---|'; done
    done
    printf '%s ratio to PyTorch | ratio to compiled |\n%s---|---|\n' "$head" "$line"
    for row in ${rows+"${rows[@]}"}; do
        IFS='|' read -r key title <<<"$row"
        table_row "$key" "$title, img/s" speed +
        table_row "$key" "start to end of its first step, s" start -
        table_row "$key" "the same, before plans of convolutions are kept, s" cold -
        [ $device = cpu ] || table_row "$key" "its memory in use on the GPU, MiB" used -
        [ $device = cpu ] || table_row "$key" "the same, as the program counts, MiB" own -
    done
}

# --- what is measured --------------------------------------------------------------------------------------------------------

prepare() {
    if [ -z "$photos" ]; then
        photos=$work/photos
        thaw demo "$photos" --size $resize --train $drawn --val 8 || return
    fi
    thaw pack "$photos" -o data --resize $resize || return
    cat >job.yaml <<END_OF_JOB
model: {arch: resnet18}
data: {train: data/train-*.h5, val: data/val-*.h5, crop: $crop, threads: $threads}
batchnorm: train
END_OF_JOB
}

# The loader alone: a thread of thaw's, a worker of PyTorch's, and as many workers as there are cores.
loaders() {
    late "the loader" && return
    if ! has_program bench_loader; then left_out+=("the loader: no bench_loader in this build"); return; fi
    local workers
    for ((round = 1; round <= rounds; round++)); do
        printf '%4d s  loader\n' $SECONDS >&2
        bench_loader 'data/train-*.h5' $crop >>loader.thaw 2>said.txt
        for workers in 1 "$threads"; do
            timeout 120 "$python" "$bench" loader --shards 'data/train-*.h5' --workers "$workers" --crop $crop --device $device \
                --batch 32 --rounds 1 2>said.txt | number_of images_per_second >>"loader.torch.$workers"
        done
    done
    printf '\n| loader from shards, crop and flip, img/s | thaw, 1 thread | PyTorch, 1 worker | PyTorch, %d workers | ratio of one |\n' \
        "$threads"
    printf '|---|---|---|---|---|\n| %d px | %s | %s | %s | %s |\n' $crop "$(median loader.thaw)" "$(median loader.torch.1)" \
        "$(median "loader.torch.$threads")" "$(ratio "$(median loader.thaw)" "$(median loader.torch.1)")"
}

# Where the GPU's time goes, of a short run.
profile() {
    late "share of time" && return
    local precision=${precisions[-1]}
    command -v nsys >/dev/null || { printf '\nshare of time: no nsys\n'; return; }
    under "nsys profile --trace cuda --output profile --force-overwrite true" thaw train job.yaml --progress 0 --steps 20 \
        --set "device=$device" --set "precision=$precision" --set model.arch=resnet50 --set batch=256 >said.txt 2>&1
    nsys stats --report cuda_gpu_kern_sum --format csv profile.nsys-rep >kernels.csv 2>>said.txt
    printf '\nshare of time, ResNet-50, batch 256, %s: %s\n' "$precision" "$(shares kernels.csv || echo "no kernels were seen")"
}

rows=()
prepare >&2 || exit
if [ $device = cpu ]; then
    compare full18_4 "ResNet-18, batch 4, all layers" resnet18 4 all
    compile full18_4 "ResNet-18, batch 4, all layers" resnet18 4 all fp32
    compare head18_4 "ResNet-18, batch 4, the head" resnet18 4 head
    compare last18_4 "ResNet-18, batch 4, layer4 and head" resnet18 4 layer4
else
    for row in 50:256 50:32 18:256 18:32; do
        depth=${row%:*} batch=${row#*:}
        compare "full${depth}_$batch" "ResNet-$depth, batch $batch, all layers" "resnet$depth" "$batch" all
        compile "full${depth}_$batch" "ResNet-$depth, batch $batch, all layers" "resnet$depth" "$batch" all fp16
        if [ $row = 50:256 ]; then
            compare head50_256 "ResNet-50, batch 256, the head" resnet50 256 head
            compare last50_256 "ResNet-50, batch 256, layer4 and head" resnet50 256 layer4
        fi
    done
fi
loaders >loader.md
profile >profile.md
if [ $device = cuda ]; then # what takes a minute each and changes least
    for row in 50:256 50:32; do
        depth=${row%:*} batch=${row#*:}
        compile "full${depth}_$batch" "ResNet-$depth, batch $batch, all layers" "resnet$depth" "$batch" all bf16
    done
    compile head50_256 "ResNet-50, batch 256, the head" resnet50 256 head fp16
    compile last50_256 "ResNet-50, batch 256, layer4 and head" resnet50 256 layer4 fp16
fi

where=$(nvidia-smi --id=0 --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null ||
    sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u | tail -n 1)
printf '%s, %d cores, %s; %s, PyTorch %s; %d px; medians of %d rounds\n\n' "$where" "$(nproc)" "$(date +%F)" \
    "$(thaw --version | sed -n 1p)" "$("$python" -c 'import torch; print(torch.__version__)')" $crop "$rounds"
table
cat loader.md profile.md
[ ${#left_out[@]} = 0 ] || printf 'left out: %s\n' "${left_out[@]}"
