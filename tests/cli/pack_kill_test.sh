#!/usr/bin/env bash
# pack_kill_test.sh THAW: `thaw pack` killed before each of its renames leaves no set that is taken for whole.
. "$(dirname "$0")/lib.sh" "$@"

command -v strace >said && strace -o trace true 2>said || { echo "skipped: strace cannot trace here"; exit 77; }

"$thaw" demo set --train 12 --val 4 --size 48 >said || fail "$(cat said)"
for k in 1 2 3; do # two shards of training, one of validation
    rm -rf between
    { strace -f -o trace -e inject=rename:signal=KILL:when=$k "$thaw" pack set -o between --resize 96 --shard-size 1 \
        >said 2>&1; } 2>killed-by
    [ "$(ls between | grep -vc '\.tmp$\|\.h5$\|^pack.lock$')" = 0 ] || fail "killed at rename $k: $(ls between)"
    [ "$(ls between/*.h5 2>/dev/null | wc -l)" = $((k - 1)) ] || fail "not killed at rename $k: $(ls between)"
    if [ $k = 2 ]; then
        expect 1 "" "$thaw" pack --check 'between/train-*.h5'
    fi
done
finish
