#!/usr/bin/env bash
# refusals_test.sh THAW: what cannot be used is refused in words that name it, with the right exit code, and nothing on the
# disk is another afterwards. Keys and their bounds are in tests/unit/job_test.c, YAML in yaml_test.c, the parts of shards and
# checkpoints in dataset_test.c and checkpoint_test.c; here is what reaches the program as files.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 1
short=(--set 'phases=[{epochs: 2, train: [fc]}]')
expect 0 "" "$thaw" train job.yaml --set name=begun "${short[@]}"

# --- what is wrong -----------------------------------------------------------------------------------------------------

flip() { # FROM TO OFFSET: a copy with one bit changed; an offset from the end if negative
    local at=$3 byte
    [ "$at" -ge 0 ] || at=$(($(stat -c %s "$1") + at))
    cp "$1" "$2"
    byte=$(od -An -tu1 -j$at -N1 "$2")
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$2" bs=1 seek=$at conv=notrunc status=none
}

mkdir -p bad/folder.yaml bad/folder.h5 bad/folder-0-of-1.h5
cd bad || exit 1
: >empty.yaml
: >empty.h5
: >empty-0-of-1.h5
echo "no checkpoint" | tee text.h5 >text-0-of-1.h5
ln -s nowhere dangling.yaml
ln -s nowhere dangling.h5
ln -s nowhere dangling-0-of-1.h5
mkfifo fifo.yaml fifo.h5 fifo-0-of-1.h5
job="{model: {arch: resnet20}, data: {train: ../data/train-*.h5, val: ../data/val-*.h5, crop: 32}"
head -c 70000 /dev/zero | tr '\0' '#' >large.yaml
head -c 60000 /dev/zero | tr '\0' '[' >deep.yaml
head -c 500 ../data/val-*.h5 >binary.yaml
echo "$job, seed: &a 1}" >anchor.yaml
echo "$job, seed: !!int 1}" >tag.yaml
echo "$job, batch: 8, batch: 9}" >twice.yaml
printf '%s}\n---\n%s}\n' "$job" "$job" >second.yaml
echo "$job, optimizer: {lr: .nan}}" >nan.yaml
echo "$job, epochs: 4, phases: [{epochs: 1, train: fc}]}" >sum.yaml
echo "$job, name: ../x}" >above.yaml
echo "$job, name: .hidden}" >hidden.yaml
printf '%s, runs: "a\\0b"}' "$job" >nul.yaml
printf '%s, runs: \xff\xfe}' "$job" >latin.yaml
echo "$job" >unclosed.yaml
echo "$job}" >"my job.yaml"
echo "$job, phases: [{epochs: 1, train: [layer7]}]}" >layer.yaml
echo "- $job}" >list.yaml
echo "data: {train: x, val: y}" >no-model.yaml
for file in ../data/train-*.h5; do train=$file; done
for file in ../data/val-*.h5; do val=$file; done
head -c 5000 "$train" >cut-0-of-1.h5
head -c -1 "$train" >short-0-of-1.h5
{ cat "$train"; echo; } >long-0-of-1.h5
flip "$train" header-0-of-1.h5 700
flip "$train" seal-0-of-1.h5 -40
flip "$train" length-0-of-1.h5 -48
flip "$train" magic-0-of-1.h5 -64
cp "$train" half-0-of-2.h5
cp "$train" same-0-of-2.h5 && cp "$train" same-00-of-2.h5
cp "$train" part.h5
good=../runs/begun/best.h5
cp "$good" checkpoint-0-of-1.h5
cp "$val" shard.h5
head -c 20000 "$good" >cut.h5
head -c -1 "$good" >short.h5
tail -c 64 "$good" >only-seal.h5
flip "$good" header.h5 100
flip "$good" tensor.h5 500000
flip "$good" seal.h5 -1
head -c 300000 /dev/urandom >random.h5
"$helpers/poison" "$good" nan.h5 model/fc.weight || fail "no poisoned checkpoint"
"$thaw" demo others --train 3 --val 2 --size 40 --seed 3 >/dev/null && rm -r others/train/disc others/val/disc
"$thaw" pack others -o fewer --resize 36 >/dev/null 2>&1 || fail "pack"
mv fewer/val-* fewer-0-of-1.h5
cd .. || exit 1

# run folders: what a run that was begun can find there
begun() { # NAME: a copy of the run, with one epoch more to do
    cp -r runs/begun "runs/$1"
    sed -i "s/^name: .*/name: $1/; s/^epochs: .*/epochs: 3/; s/epochs: 2, train/epochs: 3, train/" "runs/$1/job.yaml"
}
for name in other no-yaml folder-yaml empty-last text-last folder-last shard-last cut-both no-rows few-rows folder-rows; do
    begun $name
done
echo "name: [" >runs/no-yaml/job.yaml
rm runs/folder-yaml/job.yaml && mkdir runs/folder-yaml/job.yaml
for name in empty-last text-last folder-last shard-last cut-both; do rm runs/$name/{last,previous}.h5; done
: >runs/empty-last/last.h5
echo text >runs/text-last/last.h5
mkdir runs/folder-last/last.h5
cp "$(echo data/val-*.h5)" runs/shard-last/last.h5
head -c 90000 runs/begun/last.h5 | tee runs/cut-both/last.h5 >runs/cut-both/previous.h5
rm runs/no-rows/metrics.csv
sed -i 3d runs/few-rows/metrics.jsonl && sed -i 2d runs/few-rows/metrics.jsonl
rm runs/folder-rows/metrics.csv && mkdir runs/folder-rows/metrics.csv
mkdir runs/full && touch runs/full/diary.txt
echo text >runs/file
ln -s nowhere runs/dangling
echo text >plain
three='--set "phases=[{epochs: 3, train: [fc]}]"'

# --- the table: exit code | words | what thaw is told --------------------------------------------------------------------

cat >table <<END
2|a command is needed|
2|unknown command 'tarin'|tarin job.yaml
2|train takes one job file, not 2|train job.yaml job.yaml
2|unknown option '--frseh'|train job.yaml --frseh
2|--steps 0: allowed are 1 to|train job.yaml --steps 0
2|cannot open 'bad/none.yaml': No such file|train bad/none.yaml
2|cannot open 'bad/dangling.yaml': No such file|train bad/dangling.yaml
2|cannot read 'bad/folder.yaml': not a plain file|train bad/folder.yaml
2|cannot read 'bad/fifo.yaml': not a plain file|train bad/fifo.yaml
2|'bad/large.yaml' has 70000 bytes, allowed are 65536|train bad/large.yaml
2|bad/empty.yaml:1:1: empty|train bad/empty.yaml
2|bad/deep.yaml:1:17: lists and maps deeper than 16|train bad/deep.yaml
2|bad/binary.yaml:1:1: not plain text|train bad/binary.yaml
2|bad/latin.yaml:1:|train bad/latin.yaml
2|an anchor ('&') is not allowed|train bad/anchor.yaml
2|a tag ('!') is not allowed|train bad/tag.yaml
2|key 'batch' stands here twice|train bad/twice.yaml
2|bad/second.yaml:2:1: a second document|train bad/second.yaml
2|optimizer.lr: '.nan', allowed are|train bad/nan.yaml
2|epochs: 4, but the phases add up to 1|train bad/sum.yaml
2|name: '../x', allowed are up to 63 of|train bad/above.yaml
2|name: '.hidden', allowed are up to 63 of|train bad/hidden.yaml
2|a NUL character is not allowed|train bad/nul.yaml
2|bad/unclosed.yaml:2:1: not YAML|train bad/unclosed.yaml
2|the file's name makes the run's 'my job', allowed are|train 'bad/my job.yaml'
2|\`name:\` in the file, or --set name=NAME, gives another|train 'bad/my job.yaml'
2|not a job, wanted is a map of keys|train bad/list.yaml
2|model.arch: missing|train bad/no-model.yaml
2|--set batch: wanted is KEY=VALUE|train job.yaml --set batch
2|--set batch: 0, allowed are 1 to|train job.yaml --set batch=0
2|unknown key 'bacth', did you mean 'batch'|train job.yaml --set bacth=8
2|--set name: '../../x', allowed are|train job.yaml --set name=../../x
2|--set runs: no value|train job.yaml --set runs=
2|--set optimizer.lr: 'nan', allowed are|train job.yaml --set optimizer.lr=nan
2|--set phases: not YAML|train job.yaml --set 'phases=[{epochs: 1'
2|an anchor ('&') is not allowed|train job.yaml --set 'phases=&x [{epochs: 1, train: fc}]'
2|no shard matches 'bad/none-*.h5' (from $PWD)|train job.yaml --set name=new --set 'data.train=bad/none-*.h5'
2|'bad' is a folder: expected is a pattern|train job.yaml --set name=new --set data.train=bad
2|'bad/part.h5' is not named as a shard|train job.yaml --set name=new --set data.train=bad/part.h5
1|'bad/empty-0-of-1.h5': not a plain file, or empty|train job.yaml --set name=new --set data.train=bad/empty-0-of-1.h5
1|'bad/folder-0-of-1.h5': not a plain file|train job.yaml --set name=new --set data.train=bad/folder-0-of-1.h5
1|'bad/fifo-0-of-1.h5': not a plain file|train job.yaml --set name=new --set data.train=bad/fifo-0-of-1.h5
1|cannot open 'bad/dangling-0-of-1.h5': No such|train job.yaml --set name=new --set 'data.train=bad/dangling-*.h5'
1|'bad/text-0-of-1.h5' is not a thaw shard|train job.yaml --set name=new --set data.train=bad/text-0-of-1.h5
1|'bad/cut-0-of-1.h5' is cut short|train job.yaml --set name=new --set data.train=bad/cut-0-of-1.h5
1|'bad/short-0-of-1.h5' is cut short|train job.yaml --set name=new --set data.train=bad/short-0-of-1.h5
1|'bad/long-0-of-1.h5' is cut short, or|train job.yaml --set name=new --set data.train=bad/long-0-of-1.h5
1|'bad/header-0-of-1.h5' is damaged|train job.yaml --set name=new --set data.train=bad/header-0-of-1.h5
1|'bad/seal-0-of-1.h5' is damaged|train job.yaml --set name=new --set data.train=bad/seal-0-of-1.h5
1|'bad/length-0-of-1.h5' is damaged: it has|train job.yaml --set name=new --set data.train=bad/length-0-of-1.h5
1|'bad/magic-0-of-1.h5' is cut short, or|train job.yaml --set name=new --set data.train=bad/magic-0-of-1.h5
1|'bad/half-0-of-2.h5' is one of 2 shards|train job.yaml --set name=new --set data.train=bad/half-0-of-2.h5
1|are the same part of a split|train job.yaml --set name=new --set 'data.train=bad/same-*.h5'
1|'bad/checkpoint-0-of-1.h5' is a checkpoint, not a shard|train job.yaml --set name=new --set data.val=bad/checkpoint-0-of-1.h5
2|has 5 classes, 'bad/fewer-0-of-1.h5' has 4|train job.yaml --set name=new --set data.val=bad/fewer-0-of-1.h5
1|cannot open 'bad/none.h5': No such file|eval job.yaml --checkpoint bad/none.h5
1|cannot open 'bad/dangling.h5': No such file|eval job.yaml --checkpoint bad/dangling.h5
1|cannot read 'bad/folder.h5': not a plain file|eval job.yaml --checkpoint bad/folder.h5
1|cannot read 'bad/fifo.h5': not a plain file|eval job.yaml --checkpoint bad/fifo.h5
1|cannot read 'bad/empty.h5': not a plain file, or empty|eval job.yaml --checkpoint bad/empty.h5
1|'bad/text.h5' holds no weights|eval job.yaml --checkpoint bad/text.h5
1|'bad/random.h5' holds no weights|eval job.yaml --checkpoint bad/random.h5
1|'bad/only-seal.h5' is damaged|eval job.yaml --checkpoint bad/only-seal.h5
1|'bad/cut.h5' is cut short|eval job.yaml --checkpoint bad/cut.h5
1|'bad/short.h5' is cut short|eval job.yaml --checkpoint bad/short.h5
1|'bad/header.h5' is damaged|eval job.yaml --checkpoint bad/header.h5
1|'bad/tensor.h5' is damaged|eval job.yaml --checkpoint bad/tensor.h5
1|'bad/seal.h5' is damaged|eval job.yaml --checkpoint bad/seal.h5
1|'bad/shard.h5' is a shard, not a checkpoint|eval job.yaml --checkpoint bad/shard.h5
76|'bad/nan.h5': the validation loss is nan|eval job.yaml --checkpoint bad/nan.h5
2|has 5 classes, 'bad/fewer-0-of-1.h5' has 4|eval job.yaml --set data.val=bad/fewer-0-of-1.h5 --checkpoint $(echo runs/begun/best.h5)
1|cannot open 'bad/none.h5'|show bad/none.h5
1|'bad/tensor.h5' is damaged|show bad/tensor.h5
1|'bad/folder.h5': not a plain file|show bad/folder.h5
1|cannot make folder 'plain/runs': Not a directory|train job.yaml --set runs=plain/runs
1|'plain' is there and is not a folder|train job.yaml --set runs=plain
2|'runs/file' is there already and holds no run|train job.yaml --set name=file
2|'runs/dangling' is there already and holds no run|train job.yaml --set name=dangling
2|'runs/full' is there already and holds no run|train job.yaml --set name=full
2|'runs/other' was begun with|train job.yaml --set name=other --set optimizer.lr=0.9 $three
2|runs/no-yaml/job.yaml:|train job.yaml --set name=no-yaml $three
2|'runs/folder-yaml/job.yaml': not a plain file|train job.yaml --set name=folder-yaml $three
1|'runs/empty-last' has no whole checkpoint|train job.yaml --set name=empty-last $three
1|'runs/text-last' has no whole checkpoint|train job.yaml --set name=text-last $three
1|cannot read 'runs/folder-last/last.h5': not a plain file|train job.yaml --set name=folder-last $three
1|'runs/shard-last' has no whole checkpoint|train job.yaml --set name=shard-last $three
1|'runs/cut-both/previous.h5' is cut short|train job.yaml --set name=cut-both $three
1|'runs/no-rows/metrics.csv' is gone|train job.yaml --set name=no-rows $three
1|'runs/few-rows/metrics.jsonl' has|train job.yaml --set name=few-rows $three
1|'runs/folder-rows/metrics.csv': not a plain file|train job.yaml --set name=folder-rows $three
END

# What stands below this folder, but for what the test itself keeps here: names, and when files changed for the last time.
tree() {
    find . -mindepth 1 \( -name said -o -name table -o -name cache \) -prune -o \( -type d -printf '%p\n' \) -o \
        -printf '%p %y %l %s %i %C@\n' | LC_ALL=C sort
}
bytes() {
    find . \( -name said -o -name table -o -name cache \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

rows=0
before=$(tree)
all=$(bytes)
while IFS='|' read -r code words told; do
    eval "arguments=($told)"
    expect "$code" "$words" timeout 20 "$thaw" "${arguments[@]}"
    [ "$(grep -c '^thaw: ' said)" -ge 1 ] && [ "$(grep '^thaw: ' said | grep -cv '^thaw: warning: ')" = 1 ] ||
        fail "$told: not told once: $(cat said)"
    after=$(tree)
    [ "$after" = "$before" ] || fail "$told: changed the disk: $(diff <(echo "$before") <(echo "$after"))"
    before=$after
    rows=$((rows + 1))
done <table
[ "$(bytes)" = "$all" ] || fail "bytes on the disk changed: $(diff <(bytes) <(echo "$all"))"
[ $rows -ge 60 ] || fail "only $rows rows"

# --- what is found only while it trains: the run's own files change, and no checkpoint does -----------------------------------

# a checkpoint whose weights are no numbers
begun nan-last
"$helpers/poison" runs/begun/last.h5 runs/nan-last/last.h5 model/fc.bias || fail "no poisoned checkpoint"
before=$(cd runs/nan-last && sha256sum ./*.h5)
expect 76 "is not finite; a lower optimizer.lr may help" "$thaw" train job.yaml --set name=nan-last --set 'phases=[{epochs: 3, train: [fc]}]'
[ "$(cd runs/nan-last && sha256sum ./*.h5)" = "$before" ] || fail "a diverged run changed its checkpoints"

# a pixel of a training picture, of which the seal says nothing
mkdir damaged
flip "$(echo data/train-*.h5)" damaged/train-00000-of-00001.h5 -100
expect 1 "'damaged/train-00000-of-00001.h5' is damaged: the pixels of '" "$thaw" train job.yaml --set name=pixel "${short[@]}" \
    --set 'data.train=damaged/train-*.h5'
expect 1 "is damaged: the pixels of '" mpirun -n 2 "$thaw" train job.yaml --set name=pixel-2 "${short[@]}" \
    --set 'data.train=damaged/train-*.h5'
expect 1 "is damaged: the pixels of '" "$thaw" pack --check damaged/train-*.h5
finish
