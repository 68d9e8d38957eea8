# Sourced by the tests of this folder: a work folder of their own, checks that count failures, ranks on any machine.
#
#   . "$(dirname "$0")/lib.sh" "$@"     ends in an empty folder, with $thaw the program, $helpers where test programs are

set -u
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

# finish: the exit code of the test.
finish() {
    [ "$failures" = 0 ] && echo passed || echo "$failures failures"
    [ "$failures" = 0 ]
}
