#!/usr/bin/env bash
# disk_test.sh THAW: disks of a few MiB that are full, or cannot be written: what thaw says, what it leaves, and that the
# same command goes on once there is room. Needs the right to mount, in a namespace of its own.
if [ "${3-}" != mounted ]; then
    for how in --mount "--mount --map-root-user"; do
        # shellcheck disable=SC2086
        unshare $how mount -t tmpfs none /mnt 2>/dev/null && exec unshare $how bash "$0" "$1" "${2:-.}" mounted
    done
    echo "skipped: no right to mount a file system"
    exit 77
fi
. "$(dirname "$0")/lib.sh" "$@"
trap 'umount runs 2>/dev/null; cd /; rm -rf "$work"' EXIT

small_job 1 1 1
train=("$thaw" train job.yaml --set 'phases=[{epochs: 2, train: [fc]}]')

results() {
    sha256sum runs/small/last.h5 runs/small/best.h5
    rows runs/small
}
expect 0 "" "${train[@]}"
whole=$(results)
rm -rf runs/*

# last.h5 has 2.2 MB with its momentum, best.h5 half of it: from no room for job.yaml to none for the last checkpoint.
full=0
for size in 4k 8k 64k 1m 3m 4m 5m 6m 7m; do
    mount -t tmpfs -o size=$size none runs
    "${train[@]}" >said 2>&1
    got=$?
    [ $got = 0 ] || full=$((full + 1))
    if [ $got != 0 ]; then
        [ $got = 1 ] || fail "$size: exit code $got: $(cat said)"
        [ "$(grep -v "^thaw: warning: " said | grep -c "^thaw: ")" = 1 ] && grep -q "^thaw: cannot .*'runs/small.*': No space left on device$" said ||
            fail "$size: $(cat said)"
    fi
    [ -z "$(find runs -name '*.tmp')" ] || fail "$size: half a file stays: $(find runs)"
    for file in runs/small/*.h5; do
        [ ! -e "$file" ] || "$thaw" show "$file" >shown 2>&1 || fail "$size: $(cat shown)"
    done
    mount -o remount,size=64m runs
    expect 0 "" "${train[@]}"
    [ "$(results)" = "$whole" ] || fail "$size: another result once there was room"
    umount runs
done
[ $full -ge 6 ] || fail "only $full of the disks were full"

# one that was half full is as it was after a start that found it read-only
mount -t tmpfs -o size=5m none runs
expect 1 "No space left on device" "${train[@]}"
mount -o remount,size=64m,ro runs
before=$(cd runs/small && sha256sum -- *)
expect 1 "cannot open 'runs/small/lock': Read-only file system" "${train[@]}"
expect 1 "cannot make folder 'runs/other': Read-only file system" "${train[@]}" --set name=other
expect 0 "val loss" "$thaw" eval job.yaml --checkpoint runs/small/best.h5
[ "$(cd runs/small && sha256sum -- *)" = "$before" ] || fail "a folder that cannot be written was changed"
expect 1 "Read-only file system" "$thaw" pack pictures -o runs/data --resize 36
umount runs

# no more files, though there are bytes
mount -t tmpfs -o nr_inodes=5 none runs
expect 1 "No space left on device" "${train[@]}"
umount runs

# shards: nothing that looks like one is left
mount -t tmpfs -o size=64k none runs
expect 1 "No space left on device" "$thaw" pack pictures -o runs/data --resize 96
[ -z "$(find runs -name '*.h5')" ] || fail "pack on a full disk leaves $(find runs)"
umount runs
finish
