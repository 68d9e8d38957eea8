# shellcheck shell=bash
# Sourced by the tests of this folder: tests/cli/lib.sh, with $thaw the program on simulated GPUs, and jobs for it.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh" "$@"
export THAW_CONVOLUTION=direct # a CPU's rounding is then no matter of timing
export OMPI_MCA_mpi_yield_when_idle=1 # ranks outnumber cores
export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none

# sim_job VAL: data/ with 25 training pictures and 5 VAL validation pictures, and a job.yaml of three phases. Batches are
# of 12, 12 and 1 picture, of which three of the four replicas have none; in the last phase of 10, 10 and 5. A phase has
# steps enough for each kind of batch that may be recorded to be done, recorded and replayed. The last rate is low: norms over
# so few pixels make much of little, and what rounding differs by would grow a hundredfold in an epoch.
sim_job() {
    "$thaw" demo pictures --train 5 --val "$1" --size 24 >/dev/null || fail demo
    "$thaw" pack pictures -o data --resize 18 >/dev/null 2>&1 || fail pack
    cat >job.yaml <<'END'
name: job
model: {arch: resnet20}
data: {train: data/train-*.h5, val: data/val-*.h5, crop: 16}
device: cuda
threads: 1
batch: 12
replicas: 4
batchnorm: train
optimizer: {lr: 0.01}
phases:
  - {epochs: 2, train: [fc]}
  - {epochs: 2, train: [layer3, fc]}
  - {epochs: 3, train: all, lr: 0.0001, batch: 10}
END
}

# train RANKS NAME OPTIONS...: a run on so many ranks; what it says is in `said`
train() {
    local ranks=$1 name=$2
    shift 2
    if [ "$ranks" = 1 ]; then
        "$thaw" train job.yaml --set "name=$name" "$@" >said 2>&1
    else
        mpirun -n "$ranks" "$thaw" train job.yaml --set "name=$name" "$@" >said 2>&1
    fi
}

# trained RANKS NAME OPTIONS...: one that has to succeed
trained() {
    train "$@" || fail "$*: exit code $?: $(cat said)"
}

# distance FOLDER FOLDER: the largest difference of a loss, as a part of it, and of pictures that are right, between the
# epochs of two runs; "none" if they are not comparable: other epochs, rates or counts, or a loss that is no number.
# Column 18 is the loss of the average, where there is one.
distance() {
    paste -d, <(cut -d, -f1-13,18 "$1/metrics.csv") <(cut -d, -f1-13,18 "$2/metrics.csv") | awk -F, '
        function apart(a, b) { return a > b ? a - b : b - a }
        function compare_losses(a, b) {
            if (!(a > 0 && b > 0)) bad = 1
            else if (apart(a, b) / b > loss) loss = apart(a, b) / b
        }
        NR == 1 { n = NF / 2; next }
        {
            split("1 2 3 4 8 13", same, " ")
            for (i in same) if ($same[i] != $(same[i] + n)) bad = 1
            compare_losses($5, $(5 + n)); compare_losses($9, $(9 + n))
            if (n > 13) compare_losses($14, $(14 + n))
            if (apart($7, $(7 + n)) > right) right = apart($7, $(7 + n))
            if (apart($12, $(12 + n)) > right) right = apart($12, $(12 + n))
        }
        END { if (bad || NR < 2 || n != int(n)) print "none none"; else printf "%.3g %d\n", loss, right }'
}

# near LIMIT RIGHT FOLDER FOLDER: the losses differ by no more than that part, the pictures that are right by so many
near() {
    distance "$3" "$4" | awk -v limit="$1" -v most="$2" '{ exit !($1 != "none" && $1 <= limit && $2 <= most) }' ||
        fail "$3 and $4 differ by $(distance "$3" "$4"), allowed are $1 $2"
}

# same FOLDER FOLDER: two runs came to the same bytes
same() {
    [ "$(results "$1")" = "$(results "$2")" ] || fail "$1 and $2 differ: $(diff <(results "$1") <(results "$2") | head -5)"
}
