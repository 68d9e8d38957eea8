# shellcheck shell=bash disable=SC2034
# Sourced by test-gpu.sh and bench-gpu.sh: where programs are, whether there is a GPU, and what is compared how.

# find_programs ROOT BUILD: puts the programs on the path, and sets `folders`, where they are, `fixtures`, and `bundled`. ROOT
# is an unpacked bundle or a source tree; BUILD is where that was built ("" for the usual place).
find_programs() {
    local build=${2:-$1/build/release}
    fixtures=$1/tests/golden bundled=''
    if [ -z "$2" ] && [ -x "$1/bin/thaw" ]; then
        folders=("$1/bin") bundled=yes
    else
        folders=("$build" "$build/tests/cuda" "$build/tools/bench")
    fi
    [ -x "${folders[0]}/thaw" ] || { echo "${0##*/}: there is no '${folders[0]}/thaw'" >&2; return 2; }
    PATH=$(IFS=: && echo "${folders[*]}"):$PATH
    export PATH
}

# has_program NAME: whether it came with this build.
has_program() {
    local folder
    for folder in "${folders[@]}"; do
        [ ! -x "$folder/$1" ] || return 0
    done
    return 1
}

# under "TOOL..." COMMAND...: the command under a debugger or profiler, which is to see the program and not its launcher.
under() {
    local tool=$1
    shift
    # shellcheck disable=SC2086
    if [ -n "$bundled" ]; then THAW_UNDER=$tool "$@"; else $tool "$@"; fi
}

# has_gpu: whether the driver shows one.
has_gpu() {
    local gpus
    gpus=$(nvidia-smi -L 2>/dev/null) && [[ $gpus == *"GPU "* ]] && return
    compgen -G '/dev/nvidia[0-9]*' >/dev/null
}

# compare_metrics WANT GOT LOSS ACCURACY [LOSS ACCURACY]: two metrics.csv, epoch by epoch. Losses may differ by LOSS as a part of
# the larger of WANT's and 1, accuracies by ACCURACY; where everything trains, and rounding grows, by the second pair. Where
# there is an average of the weights, so may its. Says the largest differences; what is no number differs from everything.
compare_metrics() {
    awk -F, -v loss="$3" -v accuracy="$4" -v all_loss="${5-$3}" -v all_accuracy="${6-$4}" '
        function number(text) { return text ~ /^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$/ }
        function differs(name, limit, scale,    a, b, by) {
            a = want[FNR, name]; b = $column[name]
            if (!number(a) || !number(b)) { printf "epoch %s: %s is \"%s\", and \"%s\"\n", $1, name, a, b; wrong = 1; return }
            by = a - b; by = by < 0 ? -by : by
            if (scale && a > 1) by /= a
            if (by > largest[name]) largest[name] = by
            if (!(by <= limit)) { printf "epoch %s: %s is %s, and %s, allowed are %s\n", $1, name, a, b, limit; wrong = 1 }
        }
        FNR == 1 { files++; delete column; for (i = 1; i <= NF; i++) column[$i] = i; next }
        files == 1 { for (name in column) want[FNR, name] = $column[name]; rows = FNR; next }
        {
            all = $column["trained"] == "all"
            differs("train_loss", all ? all_loss : loss, 1); differs("val_loss", all ? all_loss : loss, 1)
            differs("train_top1", all ? all_accuracy : accuracy, 0); differs("val_top1", all ? all_accuracy : accuracy, 0)
            if ("average_loss" in column || (1, "average_loss") in want) {
                differs("average_loss", all ? all_loss : loss, 1); differs("average_top1", all ? all_accuracy : accuracy, 0)
            }
            others = FNR
        }
        END {
            if (files != 2 || rows < 2 || rows != others) { printf "%d epochs, and %d\n", rows - 1, others - 1; wrong = 1 }
            printf "differ at most: losses %.3g and %.3g, accuracies %.3g and %.3g", largest["train_loss"],
                largest["val_loss"], largest["train_top1"], largest["val_top1"]
            if ("average_loss" in largest) printf ", of the average %.3g and %.3g", largest["average_loss"], largest["average_top1"]
            print ""
            exit wrong
        }' "$1" "$2"
}

# learned METRICS: the last training loss is below the first.
learned() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "train_loss") c = i }
        NR == 2 { first = $c } END { print "training loss from " first " to " $c; exit !(NR > 2 && $c ~ /^[0-9]/ && $c + 0 < first + 0) }' "$1"
}

# same_tensors WANT GOT: two checkpoints with the same bytes in every tensor; names those that differ.
same_tensors() {
    local a b
    a=$(thaw show --tensors "$1" | grep -E '^ *(model|optimizer|average)/') || return
    b=$(thaw show --tensors "$2" | grep -E '^ *(model|optimizer|average)/') || return
    [ "$a" = "$b" ] && echo "$(wc -l <<<"$a") tensors are the same" && return
    echo "differ: $(diff <(echo "$a") <(echo "$b") | sed -n 's/^> *\([^ ]*\).*/\1/p' | paste -sd ' ' | cut -c 1-400)"
    return 1
}

# one_line_of FILE: it holds exactly one line of thaw's that is no warning.
one_line_of() {
    [ "$(grep '^thaw: ' "$1" | grep -vc '^thaw: warning: ')" = 1 ]
}

# median FILE: of its numbers; "-" where there are none.
median() {
    sort -g "$1" 2>/dev/null | awk '{v[NR] = $1} END {if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        else print "-"}'
}

# number_of NAME: that number of the JSON objects on standard input, of the last one that has it; "" if none has. NAME may be
# several, as "a|b".
number_of() {
    grep -oE "\"($1)\": *[-+0-9.eE]+" | tail -n 1 | sed 's/.*: *//'
}

# ratio A B: "1.23x", "-" where one of them is no number.
ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN {if (a + 0 > 0 && b + 0 > 0) printf "%.2fx\n", a / b; else print "-"}'
}

# best VALUE...: the largest of the numbers, "-" where there are none.
best() {
    printf '%s\n' "$@" | awk '$1 + 0 > 0 && !($1 + 0 <= most) {most = $1 + 0; text = $1} END {print text == "" ? "-" : text}'
}

# shares FILE: a CSV of `nsys stats --report cuda_gpu_kern_sum`; what part of the kernels' time is spent on what.
shares() {
    awk -F, '
        function kind(name) {
            if (name ~ /nccl/) return "communication"
            if (name ~ /multi_tensor|[sS][gG][dD]|adam|(^|_)update|squares/) return "optimizer"
            if (name ~ /norm|bn_|_bn|batch_norm|batchnorm|(^|_)statistics/) return "batch norm"
            if (name ~ /conv|fprop|dgrad|wgrad|xmma|cudnn|nchw|nhwc|implicit|winograd/) return "convolution"
            if (name ~ /gemm|nvjet|cutlass|splitK/) return "matrix products"
            return "the rest"
        }
        /^"?Time \(%\)/ { for (i = 1; i <= NF; i++) if ($i ~ /Total Time/) column = i; next }
        column && NF > column {
            name = $0; for (i = 1; i < 9; i++) sub(/^[^,]*,/, "", name)
            time[kind(name)] += $column; all += $column
        }
        END {
            if (!(all > 0)) exit 1
            n = split("convolution,batch norm,matrix products,optimizer,communication,the rest", kinds, ",")
            for (i = 1; i <= n; i++) printf "%s%s %.1f %%", (i > 1 ? ", " : ""), kinds[i], 100 * time[kinds[i]] / all
            print ""
        }' "$1"
}
