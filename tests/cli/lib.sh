# Sourced by the tests of this folder: a work folder of their own, checks that count failures, ranks on any machine.
#
#   . "$(dirname "$0")/lib.sh" "$@"     ends in an empty folder, with $thaw the program, $helpers where test programs are

set -u
# Under nohup a run outlives SIGHUP, and no test could send it.
if [ $((0x$(sed -n 's/^SigIgn:\t//p' /proc/self/status) & 1)) = 1 ]; then
    exec env --default-signal=HUP bash "$0" "$@"
fi
thaw=$(realpath "$1")
helpers=$(realpath "${2:-.}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# As root, and with more ranks than cores, as it happens in containers: for Open MPI 4 and 5.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export THAW_CACHE=$work/cache

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS WORDS COMMAND...: the command ends with the status, and says the words somewhere ("" for any).
expect() {
    local want=$1 words=$2 got
    shift 2
    "$@" >said 2>&1
    got=$?
    [ "$got" = "$want" ] || fail "$*: exit code $got, want $want: $(cat said)"
    grep -qF -- "$words" said || fail "$*: does not say '$words': $(cat said)"
}

# small_job A B C: data/ and a job.yaml of three phases of so many epochs. 65 training pictures and batches of 16: the last
# batch has one picture, so three of four replicas have none.
small_job() {
    "$thaw" demo pictures --train 13 --val 7 --size 40 >/dev/null || fail demo
    "$thaw" pack pictures -o data --resize 36 >/dev/null 2>&1 || fail pack
    cat >job.yaml <<END
name: small
model: {arch: resnet20}
data: {train: data/train-*.h5, val: data/val-*.h5, crop: 32}
batch: 16
threads: 1
optimizer: {lr: 0.05, weight_decay: 1e-4}
phases:
  - {epochs: $1, train: [fc]}
  - {epochs: $2, train: [layer3, fc]}
  - {epochs: $3, train: all, lr: 0.02, batch: 12, schedule: {kind: step, step: 2, gamma: 0.5}, augment: {flip: 1}}
END
}

# rows FOLDER: the epochs of a run; seconds and pictures a second are not part of a result
rows() {
    cut -d, -f1-13,16- "$1/metrics.csv"
    sed 's/"seconds.*"best/"best/' "$1/metrics.jsonl"
}

# results FOLDER: what a run came to
results() {
    "$thaw" show "$1/last.h5" | grep -E '^ *(epoch|best) '
    "$thaw" show --tensors "$1/last.h5" | grep -E ' (model|optimizer|average)/'
    "$thaw" show --tensors "$1/best.h5" | grep -E ' (model|optimizer|average)/'
    [ ! -e "$1/best-average.h5" ] || "$thaw" show --tensors "$1/best-average.h5" | grep -E '^ *best | (model|average)/'
    rows "$1"
}

# begin RANKS OPTIONS...: starts the run in the background; its process is $launcher
begin() {
    local ranks=$1
    shift
    if [ "$ranks" = 1 ]; then
        "$thaw" train job.yaml "$@" >said 2>&1 &
    else
        mpirun -n "$ranks" "$thaw" train job.yaml "$@" >said 2>&1 &
    fi
    launcher=$!
}

# ranks_of LAUNCHER: the processes that train
ranks_of() {
    pgrep -P "$1" || echo "$1"
}

# one_that_listens LAUNCHER: a rank, as soon as it takes SIGUSR2 for a request; or nothing, when the run is over before
one_that_listens() {
    local rank caught
    while kill -0 "$1" 2>/dev/null; do
        for rank in $(ranks_of "$1"); do
            caught=$(sed -n 's/^SigCgt:\t//p' "/proc/$rank/status" 2>/dev/null)
            [ $((0x${caught:-0} & 0x800)) = 0 ] || [ "$(readlink "/proc/$rank/exe")" != "$thaw" ] || { echo "$rank"; return; }
        done
        sleep 0.02
    done
}

# finish: the exit code of the test.
finish() {
    [ "$failures" = 0 ] && echo passed || echo "$failures failures"
    [ "$failures" = 0 ]
}
