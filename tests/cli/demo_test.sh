#!/usr/bin/env bash
# demo_test.sh THAW: the picture set that `thaw demo` draws. The pictures themselves are judged by whoever trains on them.
. "$(dirname "$0")/lib.sh" "$@"

files() {
    find "$1" -type f | wc -l
}

# All files of a folder with their contents, as one checksum.
digest() {
    (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
}

expect 0 "drew 5 classes of 12 training and 4 validation pictures into 'a/set'" \
    "$thaw" demo a/set --train 12 --val 4 --size 48
[ "$(ls a/set)" = "train
val" ] || fail "folders: $(ls a/set)"
[ "$(ls a/set/train)" = "disc
ring
square
star
triangle" ] || fail "classes: $(ls a/set/train)"
[ "$(ls a/set/val)" = "$(ls a/set/train)" ] || fail "validation has other classes"
for class in a/set/train/*; do
    [ "$(files "$class")" = 12 ] || fail "$class has $(files "$class") pictures"
done
[ "$(files a/set/val)" = 20 ] || fail "validation has $(files a/set/val) pictures"

# Both kinds of file, by their first bytes, and no picture twice.
jpeg=$(find a/set -type f -exec head -c 3 {} \; | od -An -v -tx1 -w3 | grep -c 'ff d8 ff')
png=$(find a/set -type f -exec head -c 3 {} \; | od -An -v -tx1 -w3 | grep -c '89 50 4e')
[ "$jpeg" -gt 0 ] && [ "$png" -gt 0 ] && [ $((jpeg + png)) = 80 ] || fail "$jpeg JPEG and $png PNG of 80"
[ "$(find a/set -type f -exec sha256sum {} + | cut -c-64 | sort -u | wc -l)" = 80 ] || fail "the same picture twice"

# Widths and heights of the PNG files (bytes 16 to 23) lie within two thirds of the size and the size, and differ.
sizes=$(find a/set -name '*.png' -exec sh -c 'od -An -tu1 -j16 -N8 "$1"' sh {} \; | awk '{print $4; print $8}')
[ "$(echo "$sizes" | sort -n | head -1)" -ge 32 ] && [ "$(echo "$sizes" | sort -n | tail -1)" -le 48 ] ||
    fail "edges out of 32 to 48: $sizes"
[ "$(echo "$sizes" | sort -u | wc -l)" -gt 3 ] || fail "edges do not vary: $sizes"

# The same seed, another seed, and a larger set that begins with the smaller one.
expect 0 "" "$thaw" demo again --train 12 --val 4 --size 48 --seed 0
[ "$(digest a/set)" = "$(digest again)" ] || fail "the same seed drew other pictures"
expect 0 "" "$thaw" demo other --train 12 --val 4 --size 48 --seed 1
[ "$(cat a/set/train/disc/* a/set/val/star/* | sha256sum)" != "$(cat other/train/disc/* other/val/star/* | sha256sum)" ] ||
    fail "another seed drew the same pictures"
expect 0 "" "$thaw" demo larger --train 14 --val 4 --size 48
for file in $(cd a/set && find . -type f); do
    cmp -s "a/set/$file" "larger/$file" || fail "$file differs in a larger set"
done

# What is refused, before anything is drawn.
before=$(digest a/set)
expect 2 "'a/set' is there and not empty: a new or empty folder is needed" "$thaw" demo a/set
[ "$(digest a/set)" = "$before" ] || fail "a refused set was changed"
mkdir empty && touch file
expect 0 "" "$thaw" demo empty --train 1 --val 1 --size 16
expect 2 "cannot open folder 'file'" "$thaw" demo file
expect 2 "thaw demo: one folder is needed" "$thaw" demo
expect 2 "thaw demo: one folder is needed" "$thaw" demo one two
expect 2 "thaw demo: --size 15: allowed are 16 to 1024" "$thaw" demo new --size 15
expect 2 "thaw demo: --train 0: allowed are 1 to 100000" "$thaw" demo new --train 0
expect 2 "unknown option '--colour'" "$thaw" demo new --colour red
[ ! -e new ] || fail "a refused command made its folder"
expect 0 "usage: thaw demo FOLDER" "$thaw" demo --help

finish
