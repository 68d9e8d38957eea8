#!/usr/bin/env bash
# pack_test.sh THAW: `thaw pack` and its --check, from outside: what becomes a shard, what is said, and what a kill leaves.
. "$(dirname "$0")/lib.sh" "$@"

says() {
    grep -qF -- "$1" said || fail "does not say '$1': $(cat said)"
}

# The names of the packed pictures of a split.
names() {
    "$thaw" show --names "$1" | awk '$3 == "x" {print $5}'
}

digest() {
    (cd "$1" && sha256sum -- * | sha256sum)
}

flip() { # FILE OFFSET: another value for one byte
    local byte
    byte=$(od -An -tu1 -j"$2" -N1 "$1")
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

"$thaw" demo set --train 12 --val 4 --size 48 >said || fail "$(cat said)"

whole_sets() {
    expect 0 "" "$thaw" pack set -o data --resize 96 --shard-size 1 --threads 1
    says "train  60 pictures in "
    says "disc 12, ring 12, square 12, star 12, triangle 12"
    says "val    20 pictures in "
    says " 0 left out, 0 in both splits"
    [ "$(ls data/train-*-of-*.h5 | wc -l)" -gt 1 ] || fail "one shard only: $(ls data)"
    [ "$(ls data | grep -vc '^\(train\|val\)-[0-9]\{5\}-of-[0-9]\{5\}\.h5$')" = 0 ] || fail "names: $(ls data)"
    [ "$(find data -size +1100k | wc -l)" = 0 ] || fail "a shard over 1 MiB: $(ls -l data)"
    grep -q $'\r' said && fail "a progress bar in a file"
    for threads in 2 3 7; do
        expect 0 "" "$thaw" pack set/ --resize=96 -o "t$threads/" --shard-size 1 --threads "$threads"
        [ "$(digest data)" = "$(digest "t$threads")" ] || fail "$threads threads pack other bytes"
    done
    names "data/val-00000-of-00001.h5" >got
    (cd set/val && find . -type f | cut -c3- | LC_ALL=C sort) >want
    cmp -s got want || fail "names or their order: $(diff got want)"
    expect 0 "60 pictures, all as they were packed" "$thaw" pack --check data/*.h5
    says "20 pictures, all as they were packed"
    [ "$(wc -l <said)" = 2 ] || fail "a split checked twice: $(cat said)"
    expect 0 "data/val-*-of-00001.h5: 20 pictures" "$thaw" pack --check 'data/val-*.h5'
}

# What is not a picture is named and left out; links and folders within a class are followed.
unreadable_files() {
    cp -r set mixed
    printf 'GIF89a\1\0\1\0\200\0\0\0\0\0\377\377\377,\0\0\0\0\1\0\1\0\0\2\2D\1\0;' >mixed/train/disc/moving.jpg
    jpeg=$(ls set/train/ring/*.jpg | head -1)
    head -c $(($(stat -c %s "$jpeg") / 2)) "$jpeg" >mixed/train/ring/cut.jpg
    echo "no picture" >mixed/train/ring/notes.txt
    : >mixed/train/star/empty.png
    ln -s nowhere mixed/val/star/dangling.png
    ln -s .. mixed/train/square/loop
    echo "hidden" >mixed/train/square/.hidden
    mkdir mixed/train/square/.cache mixed/train/square/more
    echo "hidden" >mixed/train/square/.cache/file
    "$thaw" demo others --train 3 --val 1 --size 48 --seed 5 >said
    cp "$(ls others/train/square/* | head -1)" mixed/train/square/more/deep.picture
    ln -s "$PWD/$(ls others/train/square/* | sed -n 2p)" mixed/train/square/linked
    expect 0 "'mixed/train/disc/moving.jpg'" "$thaw" pack mixed -o mixed-data --resize 32
    says "GIF"
    grep -F moving.jpg said | grep -qF "left out" || fail "the GIF is not left out: $(cat said)"
    says "mixed/train/ring/cut.jpg"
    says "mixed/train/ring/notes.txt"
    says "mixed/train/star/empty.png"
    says "mixed/val/star/dangling.png"
    says " 5 left out, 0 in both splits"
    says "train  62 pictures in 1 shard"
    says "square 14"
    [ "$(grep -c warning said)" = 5 ] || fail "other warnings: $(cat said)"
    names mixed-data/train-00000-of-00001.h5 >got
    grep -qx square/more/deep.picture got && grep -qx square/linked got || fail "nested or linked: $(cat got)"
    LC_ALL=C sort -c got || fail "not in order: $(cat got)"

    expect 1 "'mixed/train/disc/moving.jpg'" "$thaw" pack mixed -o strict --strict
    [ -z "$(ls strict)" ] || fail "a failed pack left $(ls strict)"

    mkdir -p long/{train,val}/{a,b}
    for file in long/{train,val}/{a,b}/x.png; do
        base64 -d <<<"$black" >"$file"
    done
    base64 -d <<<"$line" >long/train/a/line.png
    expect 0 "'long/train/a/line.png' is 300 x 1, which becomes 76800 x 256: edges up to 65535 are allowed: left out" \
        "$thaw" pack long -o long-data
    base64 -d <<<"$longest" >long/train/a/longest.png
    truncate -s $((2 ** 30 + 1)) long/train/b/large.png
    expect 0 "'long/train/a/longest.png' is 1000000 x 1, which becomes 2200000000 x 2200: edges up to 65535 are allowed: left out" \
        "$thaw" pack long -o long-data --resize 2200 --force
    says "'long/train/b/large.png' has 1073741825 bytes, allowed are 1073741824: left out"
    rm long/train/b/large.png
}
# One pixel each, and 300 and a million pixels in a row
black=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC
white=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC
line=iVBORw0KGgoAAAANSUhEUgAAASwAAAABCAIAAADrWgR+AAAAFElEQVR4nGPk5ORkGAWjYBQMHAAAZdsAHaqvenAAAAAASUVORK5CYII=
longest="iVBORw0KGgoAAAANSUhEUgAPQkAAAAABAQAAAAC6pqrlAAAAkElEQVR42u3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAADOBuhYAAFjF1cEAAAAAElFTkSuQmCC"

# 12 pictures a class: a quarter is 3, a hundredth still 1, and 0.99 leaves 1 for training.
drawn_validation() {
    expect 0 "" "$thaw" pack set/train -o drawn --resize 16 --val-fraction 0.25
    says "train  45 pictures"
    says "val    15 pictures in 1 shard"
    says "disc 3, ring 3, square 3, star 3, triangle 3"
    names drawn/train-00000-of-00001.h5 >train
    names drawn/val-00000-of-00001.h5 >val
    LC_ALL=C sort train val >got
    (cd set/train && find . -type f | cut -c3- | LC_ALL=C sort) >want
    cmp -s got want || fail "a picture twice or nowhere: $(diff got want)"
    LC_ALL=C sort -c train && LC_ALL=C sort -c val || fail "not in order"
    expect 0 "" "$thaw" pack set/train -o drawn-again --resize 16 --val-fraction 0.25 --seed 0
    [ "$(digest drawn)" = "$(digest drawn-again)" ] || fail "the same seed drew another split"
    expect 0 "" "$thaw" pack set/train -o drawn-other --resize 16 --val-fraction 0.25 --seed 1
    names drawn-other/val-00000-of-00001.h5 | cmp -s - val && fail "another seed drew the same split"
    expect 0 "val    5 pictures" "$thaw" pack set/train -o drawn-1 --resize 16 --val-fraction 0.01
    expect 0 "train  5 pictures" "$thaw" pack set/train -o drawn-11 --resize 16 --val-fraction 0.99
    mkdir -p few/{a,b}
    cp set/train/disc/0000.* few/a/x
    cp set/train/ring/000[01].* few/b
    expect 1 "'few/a' has 1 picture: --val-fraction needs 2 or more of each class" \
        "$thaw" pack few -o few-data --val-fraction 0.5
    echo text | tee few/a/{1,2,3,4,5,6,7,8,9}.txt >few/b/x.txt # takes no part in the drawing
    expect 1 "'few/a' has 1 picture: " "$thaw" pack few -o few-data --val-fraction 0.5
    [ ! -e few-data ] || fail "a refused pack made its folder"
    cp set/train/disc/0001.* few/a/0
    for threads in 1 3; do
        expect 0 "train  2 pictures in 1 shard" "$thaw" pack few -o "few-$threads" --val-fraction 0.5 --threads $threads
        says "val    2 pictures in 1 shard"
        says "few/a/7.txt' is text: only JPEG, PNG and WebP are read: left out"
        says " 10 left out, 0 in both splits"
    done
    [ "$(digest few-1)" = "$(digest few-3)" ] || fail "threads draw other splits"
}

layouts() {
    expect 2 "'set/train' has no 'train' folder: pictures stand in 'set/train/train/CLASS' and 'set/train/val/CLASS', or in \
'set/train/CLASS' with --val-fraction 0.2" "$thaw" pack set/train -o new
    expect 2 "'set' has a training split: to draw a validation split from it, pack 'set/train' with --val-fraction" \
        "$thaw" pack set -o new --val-fraction 0.2
    expect 2 "cannot open folder 'nowhere': No such file or directory" "$thaw" pack nowhere -o new
    expect 2 "cannot open folder 'nowhere': No such file or directory" "$thaw" pack nowhere -o new --val-fraction 0.2
    mkdir -p half && cp -r set/train half
    expect 2 "'half' has no 'val' folder beside 'train'" "$thaw" pack half -o new
    cp -r set/val half/valid
    expect 0 "val    20 pictures" "$thaw" pack half -o valid --resize 16
    cp -r set/val half
    expect 2 "'half' has both 'val' and 'valid'" "$thaw" pack half -o new
    mkdir -p bare/{train,val}
    expect 1 "'bare/train' has no class folders" "$thaw" pack bare -o new
    mkdir bare/train/ants
    expect 1 "'bare/train' has one class, 'ants': 2 or more are needed" "$thaw" pack bare -o new
    mv half/train half/Train
    expect 2 "'half' has no 'train' folder (but 'Train'): pictures stand in 'half/train/CLASS'" "$thaw" pack half -o new
    rm -r half/val && mv half/valid half/Test
    expect 2 "the folders of 'half' ('Test' and more) look like splits, not classes: pictures stand in 'half/train/CLASS' and \
'half/val/CLASS', or in 'half/CLASS' with --val-fraction" "$thaw" pack half -o new --val-fraction 0.2
    mv half/Train half/train && mv half/Test half/Validation
    expect 2 "'half' has no 'val' folder beside 'train' (but 'Validation'): " "$thaw" pack half -o new
    [ ! -e new ] || fail "a refused command made its folder"
}

# One pack at a time works in a folder; the lock of one that was killed is no hindrance.
locked() {
    mkdir held
    exec 9>held/pack.lock
    flock 9
    echo left >held/train-00000.tmp
    expect 2 "'held' is being packed into by another process" "$thaw" pack set -o held --resize 16 --force
    [ "$(wc -l <said)" = 1 ] || fail "more than a line: $(cat said)"
    [ "$(ls held | xargs)" = "pack.lock train-00000.tmp" ] || fail "a refused pack touched $(ls held)"
    exec 9>&-
    expect 0 "" "$thaw" pack set -o held --resize 16
    [ "$(ls held | xargs)" = "train-00000-of-00001.h5 val-00000-of-00001.h5" ] || fail "left behind: $(ls held)"

    "$thaw" pack set -o both --resize 16 --force >said-1 2>&1 &
    "$thaw" pack set -o both --resize 16 --force >said-2 2>&1
    local second=$? first
    wait $!
    first=$?
    case "$first $second" in
        "0 0" | "0 2" | "2 0") ;; # one after the other, or one refused
        *) fail "two at once: $first and $second: $(cat said-1 said-2)" ;;
    esac
    [ "$(digest both)" = "$(digest held)" ] || fail "two at once pack other bytes: $(ls both)"
}

# Names that are no UTF-8 or hold control characters.
texts() {
    cp -r set odd
    cp set/train/disc/0000.* odd/train/disc/$'\xe9t\xe9.png'
    echo text >odd/train/disc/$'red\e[31m.txt'
    expect 0 "'odd/train/disc/red\x1B[31m.txt' is text" "$thaw" pack odd -o odd-data --resize 16
    grep -q $'\e' said && fail "an escape sequence is printed: $(cat said)"
    names odd-data/train-00000-of-00001.h5 >got
    grep -qxF 'disc/\xE9t\xE9.png' got || fail "stored as $(grep -a -v '/0' got)"
    expect 1 "red\x1B[31m.txt" "$thaw" pack odd -o odd-strict --resize 16 --strict
    mkdir odd/train/$'a\nb' odd/val/$'c\xff'
    expect 1 "'odd/train/a\x0Ab' cannot be a class: names are UTF-8 without control characters" "$thaw" pack odd -o odd-2
    rmdir odd/train/$'a\nb'
    expect 1 "'odd/val/c\xFF' is not a class of the training split" "$thaw" pack odd -o odd-2
    [ ! -e odd-2 ] || fail "a refused pack made its folder"
}

# Pictures in no class folder, and what is no plain file.
loose() {
    cp -r set stray
    cp set/train/disc/000[0-2].* stray/train
    cp set/train/disc/0003.* stray/val
    echo text >stray/val/text
    mkfifo stray/train/star/pipe stray/train/pipe
    ln -s /dev/zero stray/val/star/zero
    expect 0 "warning: 3 pictures directly in 'stray/train' ignored, such as '0000." timeout 60 "$thaw" pack stray -o stray-data --resize 16
    says "warning: 1 picture directly in 'stray/val' ignored, such as '0003."
    says "'stray/train/star/pipe': not a plain file: left out"
    says "'stray/val/star/zero': not a plain file: left out"
    says " 2 left out, 0 in both splits"
    [ "$(grep -c warning said)" = 4 ] || fail "other warnings: $(cat said)"
    expect 0 "warning: 3 pictures directly in 'stray/train' ignored" \
        timeout 60 "$thaw" pack stray/train -o stray-2 --resize 16 --val-fraction 0.2
    says " 1 left out, 0 in both splits"
    cp set/train/disc/0007.* stray/train/ring/again
    expect 0 "are the same picture, in two classes" timeout 60 "$thaw" pack stray -o stray-3 --resize 16
    says " 2 left out, 0 in both splits"
}

# Shards among the pictures they are made of would be taken for pictures.
misplaced() {
    cp -r set/train mine
    for out in mine/data mine mine/ mine/disc/data mine/../mine/data ./mine/disc; do
        expect 2 "lies among the pictures of 'mine': shards must go elsewhere" "$thaw" pack mine -o $out --val-fraction 0.3
    done
    pushd mine >/dev/null
    expect 2 "--out 'data' lies among the pictures of '.'" "$thaw" pack . -o data --val-fraction 0.3
    popd >/dev/null
    for out in set set/train set/train/data set/val/disc; do
        expect 2 "--out '$out' lies among the pictures of 'set'" "$thaw" pack set -o $out
    done
    ls -d mine/data set/train/data 2>&1 | grep -v 'No such' && fail "a refused pack made its folder"
    cp -r set/. kept-set
    expect 0 "" "$thaw" pack kept-set -o kept-set/data --resize 16
    expect 0 "" "$thaw" pack kept-set/train -o kept-set/drawn --resize 16 --val-fraction 0.2
}

classes() {
    cp -r set lacking
    rm -r lacking/val/star
    expect 0 "warning: class 'star' has no validation picture in 'lacking/val'" "$thaw" pack lacking -o lacking-1 --resize 16
    says "star 0"
    cp -r set/val/star lacking/val/stars
    expect 1 "'lacking/val/stars' is not a class of the training split" "$thaw" pack lacking -o lacking-2
    rm -r lacking/val/stars
    rm lacking/train/ring/*
    expect 1 "class 'ring' has no readable training picture in 'lacking/train/ring'" "$thaw" pack lacking -o lacking-2
    echo text >lacking/train/ring/text
    expect 1 "class 'ring' has no readable training picture in 'lacking/train/ring'" "$thaw" pack lacking -o lacking-2
    [ -z "$(ls lacking-2)" ] || fail "a failed pack left $(ls lacking-2)"
    rm -r lacking/val/*
    cp -r set/train/ring lacking/train
    expect 1 "'lacking/val' has no picture in a class folder" "$thaw" pack lacking -o lacking-2
    mkdir lacking/val/ring && echo text >lacking/val/ring/text
    expect 1 "'lacking/val' has no readable validation picture" "$thaw" pack lacking -o lacking-2
}

twins() {
    cp -r set twin
    cp twin/train/disc/0003.* twin/val/star/twin-1
    cp twin/train/star/0007.* twin/val/star/twin-2
    expect 0 "2 in both splits" "$thaw" pack twin -o twin-data --resize 16
    grep -F twin-1 said | grep -qF "'twin/train/disc/0003." || fail "the first twin: $(cat said)"
    grep -F twin-2 said | grep -qF "'twin/train/star/0007." || fail "the second twin: $(cat said)"
    says "are the same picture, in training and in validation"
}

# One black and one white pixel: mean 1/2, deviation 1/2.
normalisation() {
    mkdir -p grey/{train,val}/{a,b}
    base64 -d <<<"$black" | tee grey/train/a/x >grey/val/a/y
    base64 -d <<<"$white" | tee grey/train/b/x >grey/val/b/y
    expect 0 "2 in both splits" "$thaw" pack grey -o grey-1 --resize 1 --normalize measure
    expect 0 "mean 0.500 0.500 0.500  deviation 0.500 0.500 0.500" "$thaw" show grey-1/val-00000-of-00001.h5
    expect 0 "" "$thaw" pack grey -o grey-2 --resize 1
    expect 0 "mean 0.485 0.456 0.406  deviation 0.229 0.224 0.225" "$thaw" show grey-2/train-00000-of-00001.h5
    base64 -d <<<"$black" >grey/train/b/x
    expect 1 "--normalize measure: all training pixels have the same red" "$thaw" pack grey -o grey-3 --resize 1 --normalize measure
    expect 2 "thaw pack: --normalize caffe: allowed are imagenet, measure" "$thaw" pack grey -o grey-3 --normalize caffe
}

replacing() {
    local before
    before=$(digest data)
    expect 2 "'data' has $(ls data | wc -l) shards already: choose another folder, or replace them with --force" \
        "$thaw" pack set -o data
    expect 1 "moving.jpg" "$thaw" pack mixed -o data --force --strict
    [ "$(digest data)" = "$before" ] || fail "a failed pack changed the shards that were there"
    cp -r data replaced
    echo kept >replaced/notes.txt
    echo kept >replaced/train-notes.tmp
    echo kept >replaced/train-00000.tmp.bak
    echo kept >replaced/my-train-00000.tmp
    echo left >replaced/train-00000.tmp
    echo left >replaced/val.pixels.tmp
    expect 0 "" "$thaw" pack set -o replaced --resize 96 --force
    [ "$(LC_ALL=C ls replaced)" = "my-train-00000.tmp
notes.txt
train-00000-of-00001.h5
train-00000.tmp.bak
train-notes.tmp
val-00000-of-00001.h5" ] || fail "other files after --force: $(ls replaced)"
}

damage() {
    local at shard=data/train-00001-of-00002.h5
    cp $shard kept
    at=$(($(stat -c %s kept) / 2)) # amid the pixels
    flip $shard "$at"
    expect 1 "'$shard' is damaged" "$thaw" pack --check data/*.h5
    says "data/val-*-of-00001.h5: 20 pictures, all as they were packed"
    says "1 of the splits given cannot be used"
    for at in 9 600 $(($(stat -c %s kept) - 10)); do # what HDF5 parses, and the seal
        cp kept $shard
        flip $shard "$at"
        expect 1 "'$shard'" "$thaw" pack --check $shard
    done
    head -c -1 kept >$shard
    expect 1 "'$shard'" "$thaw" pack --check $shard
    rm $shard
    expect 1 "" "$thaw" pack --check data/train-00000-of-00002.h5
    cp kept $shard
    expect 0 "60 pictures, all as they were packed" "$thaw" pack --check $shard
    expect 2 "no shard matches 'nothing-*.h5'" "$thaw" pack --check 'nothing-*.h5'
    expect 2 "is not named as a shard" "$thaw" pack --check set/train/disc/0000.*
    # all of a folder, however it is told; its name is no pattern
    cp -r data "data [1]"
    for what in data data/ 'data/*.h5' "$PWD/data" 'data [1]'; do
        expect 0 "60 pictures, all as they were packed" "$thaw" pack --check "$what"
        says "20 pictures, all as they were packed"
        [ "$(grep -c "all as they were packed" said)" = 2 ] || fail "a split is checked twice: $(cat said)"
    done
    flip $shard "$at"
    expect 1 "'$shard' is damaged" "$thaw" pack --check data
    says "data/val-*-of-00001.h5: 20 pictures, all as they were packed"
    cp kept $shard
    expect 2 "no shard matches 'set/*-of-*.h5' (from $PWD)" "$thaw" pack --check set
    expect 2 "no shard matches 'nothing'" "$thaw" pack --check nothing
    rm -r "data [1]"
}

# Killed at any moment, a pack leaves temporary files, or sets that --check finds whole, or gaps that it refuses.
kills() {
    local begun took moment split
    begun=$(date +%s%N)
    "$thaw" pack set -o timed --resize 96 --shard-size 1 --threads 2 >said 2>&1
    took=$((($(date +%s%N) - begun) / 1000000))
    for moment in 5 15 25 35 45 55 65 75 85 90 95 98; do
        "$thaw" pack set -o killed --resize 96 --shard-size 1 --threads 2 --force >said 2>&1 &
        sleep "$(printf '%d.%03d' $((took * moment / 100000)) $((took * moment / 100 % 1000)))"
        kill -9 $! 2>/dev/null
        wait $! 2>/dev/null
        [ -d killed ] || continue
        [ "$(ls killed | grep -vc '\.tmp$\|\.h5$\|^pack.lock$')" = 0 ] || fail "after a kill: $(ls killed)"
        [ -z "$(find killed -name '*.pixels.tmp' -size +0)" ] || fail "after a kill: $(ls -l killed)"
        for split in train val; do
            ls killed/$split-*.h5 >said 2>&1 || continue
            "$thaw" pack --check "killed/$split-*.h5" >said 2>&1 && digest_of killed $split >got && digest_of data $split >want &&
                ! cmp -s got want && fail "after a kill a split is whole and has other bytes"
        done
    done
    expect 0 "" "$thaw" pack set -o killed --resize 96 --shard-size 1 --force
    [ "$(digest killed)" = "$(digest data)" ] || fail "after kills another pack left other files: $(ls killed)"
}

digest_of() {
    (cd "$1" && sha256sum -- "$2"-*.h5)
}

usage() {
    expect 0 "usage: thaw pack FOLDER -o FOLDER [options]" "$thaw" pack --help
    says "FOLDER/train/CLASS and FOLDER/val/CLASS"
    expect 2 "thaw pack: one folder of pictures and one for the shards are needed" "$thaw" pack
    expect 2 "thaw pack: one folder of pictures and one for the shards are needed" "$thaw" pack set
    expect 2 "thaw pack: one folder of pictures and one for the shards are needed" "$thaw" pack set set -o new
    expect 2 "thaw pack: --check needs shards" "$thaw" pack --check
    expect 2 "thaw pack: --check only reads" "$thaw" pack --check data/*.h5 -o new
    expect 2 "thaw pack: --resize 0: allowed are 1 to 4096" "$thaw" pack set -o new --resize 0
    expect 2 "thaw pack: --val-fraction 1: allowed are 0.001 to 0.999" "$thaw" pack set -o new --val-fraction 1
    expect 1 "cannot make folder 'said/new': Not a directory" "$thaw" pack set -o said/new
    expect 2 "thaw show: files are needed" "$thaw" show
    expect 1 "cannot open 'nothing': No such file or directory" "$thaw" show nothing
    expect 1 "'said' is not a thaw shard or checkpoint" "$thaw" show said
    head -c 1000 data/train-00000-of-00002.h5 >cut.h5
    expect 1 "'cut.h5' is cut short" "$thaw" show cut.h5
    expect 0 "  pictures   60" "$thaw" show data/*.h5
    says "  split      val"
    says "  height     96 to "
    says "        4  triangle              4"
    [ "$(grep -c '^  split' said)" = 2 ] || fail "a split shown twice: $(cat said)"
    [ ! -e new ] || fail "a refused command made its folder"
}

for part in whole_sets unreadable_files drawn_validation layouts classes twins normalisation replacing kills \
    locked texts loose misplaced damage usage; do
    $part
done
finish
