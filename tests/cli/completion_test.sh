#!/usr/bin/env bash
# completion_test.sh THAW: what bash is offered after a command line, without a terminal: the function is called as bash calls
# it. What there is to offer is compared with the manual page, which the program makes another way.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"
. "$source/tools/completion.bash"
complete -p thaw | grep -q -- '-F _thaw thaw' || fail "completion is not bound to thaw"

# offered WORD...: what is offered for the last word, cut as bash cuts it, in one line
offered() {
    COMP_WORDS=("$thaw" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _thaw
    [ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' '
}

# wants WANTED WORD...: exactly this is offered
wants() {
    local wanted=$1 got
    shift
    got=$(offered "$@")
    [ "$got" = "${wanted:+$wanted }" ] || fail "thaw $*: offers '$got', wanted '$wanted'"
}

# --- commands, and every option of each ----------------------------------------------------------------------------------

"$thaw" help thaw.1 >thaw.1
commands=$(sed -n 's/^\.SS thaw //p' thaw.1 | sed 's/\\-/-/g')
[ "$(wc -w <<<"$commands")" -ge 6 ] || fail "only these commands: $commands"
wants "$(printf '%s\n' --help --version help $commands | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" ""
wants "pack" pa
wants "report" rep
wants "--version" --v
for command in $commands; do
    of_manual=$(sed -n "/^\.SS thaw ${command//-/\\\\-}\$/,/^\.S[HS] /p" thaw.1 | grep -A 1 '^\.TP$' | grep '^.fB' |
        grep -oE '.fB[^ ]*' | sed 's/^.fB//; s/.fR.*//; s/\\-/-/g' | LC_ALL=C sort | tr '\n' ' ')
    [ "$(wc -w <<<"$of_manual")" -ge 3 ] || fail "$command: only '$of_manual' in the manual"
    wants "${of_manual% }" "$command" -
done
wants "--resize" pack photos --res
wants "job job.md" help job
wants "train" help tra

# --- what options and commands take ----------------------------------------------------------------------------------------

mkdir -p "my photos/ants" data runs/a runs/b
touch job.yaml other.yaml notes.txt data/train-0.h5 data/train.txt model.h5 page.html
wants "data my photos runs" pack ""
wants "my photos" pack my
wants "data my photos runs" pack photos -o ""
wants "data" pack photos --out d
wants "data" pack photos --out = d
wants "" pack photos --resize ""
wants "data model.h5 my photos runs" pack --check ""
wants "data/train-0.h5" show data/
wants "data job.yaml my photos other.yaml runs" train ""
wants "job.yaml" train j
wants "job.yaml" train --fresh j
wants "data model.h5 my photos runs" lr-find job.yaml -c ""
wants "" eval job.yaml -c ""
wants "model.h5 my photos" lr-find job.yaml --checkpoint = m
wants "runs/a runs/b" report runs/
wants "page.html" report -o p

wants "classic json quiet table" train job.yaml --format ""
wants "json" train job.yaml --format = j
wants "imagenet measure" pack photos --normalize ""

# --- what a launcher starts ------------------------------------------------------------------------------------------------

# launched WANTED WORD...: what is offered behind mpirun, the program's path written out
launched() {
    local wanted=$1 got
    shift
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _thaw_launched
    [ ${#COMP_WORDS[@]} = $# ] || fail "$*: the words of the command line are now ${COMP_WORDS[*]}"
    got=$([ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' ')
    [ "$got" = "${wanted:+$wanted }" ] || fail "$*: offers '$got', wanted '$wanted'"
}
for launcher in mpirun mpiexec srun; do
    complete -p $launcher | grep -q -- "-o bashdefault -o default -F _thaw_launched $launcher" || fail "not bound to $launcher"
    launched "job.yaml" $launcher -n 2 "$thaw" train j
    launched "--fresh" $launcher -n 2 --bind-to none "$thaw" train job.yaml --fr
    launched "train" $launcher "$thaw" tra
    launched "cpu cuda" $launcher -n 2 "$thaw" train job.yaml --set device = c
    launched "" $launcher -n 2 other train j
    launched "" $launcher -n 2 "$thaw"
    launched "" $launcher -n ""
done

# --- keys of a job and their values ------------------------------------------------------------------------------------------

wants "data.crop= data.sampling= data.threads= data.train= data.val=" train job.yaml --set data.
wants "batch= batchnorm=" train job.yaml --set bat
wants "batch= batchnorm=" train job.yaml --set=bat
wants "auto cpu cuda reference" train job.yaml --set device =
wants "cpu cuda" train job.yaml --set device = c
wants "cpu cuda" eval job.yaml --set = device = c
wants "false true" train job.yaml --set optimizer.nesterov =
wants "multi_step" train job.yaml --set schedule.kind = m
wants "" train job.yaml --set optimizer.lr =
wants "phases=" train job.yaml --set ph # the keys of one phase are no --set
keys=$("$thaw" help job.md | sed -n 's/^| `\([a-z0-9_.]*\)` .*/\1/p' | grep -v '^phases\.')
[ "$(wc -w <<<"$keys")" -ge 60 ] || fail "only these keys: $keys"
wants "$(sed 's/$/=/' <<<"$keys" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" train job.yaml --set ""

# --- no program, no words ------------------------------------------------------------------------------------------------------

thaw=$work/none
wants "" train --f
wants "--help --version" ""
finish
