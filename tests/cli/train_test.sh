#!/usr/bin/env bash
# train_test.sh THAW: whole runs on drawn pictures. The arithmetic is compared with PyTorch in tests/golden; here: that a run
# is what its files say, the same for any number of ranks, and that it fails in clear words.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 2 2

# --- a run is what its files say ---------------------------------------------------------------------------------------

# ResNet-20 with five classes has 464 + 14,016 + 51,072 + 203,520 numbers in conv1 .. layer3, and 325 in fc
expect 0 "layer3 unfrozen: 203,845 parameters train" "$thaw" train job.yaml
grep -q "^best " said || fail "no last line with the best: $(cat said)"
grep -q "^conv1 layer1 layer2 unfrozen: 269,397 parameters train$" said || fail "the count is not what trains: $(cat said)"
for file in best.h5 last.h5 previous.h5 metrics.csv metrics.jsonl job.yaml log.txt; do
    [ -s "runs/small/$file" ] || fail "no runs/small/$file"
done
[ "$(wc -l <runs/small/metrics.csv)" = 6 ] || fail "metrics.csv has not a head and five rows: $(cat runs/small/metrics.csv)"
[ "$(wc -l <runs/small/metrics.jsonl)" = 5 ] || fail "metrics.jsonl has not five rows"
[ -z "$(find runs -name '*.tmp')" ] || fail "temporary files stay: $(find runs)"
[ "$(cut -d, -f2 runs/small/metrics.csv | tail -n +2 | tr '\n' ' ')" = "1 2 2 3 3 " ] || fail "phases of the rows"
[ "$(cut -d, -f4 runs/small/metrics.csv | tail -n +2 | tr '\n' ' ')" = "0.05 0.05 0.05 0.02 0.02 " ] || fail "rates of the rows"
[ "$(cut -d, -f8,13 runs/small/metrics.csv | tail -n +2 | sort -u)" = 65,35 ] || fail "not every picture counted once"
diff <(sed -n '/^epoch /,$p' said) <(sed -n '/^epoch /,$p' runs/small/log.txt) >/dev/null || fail "log.txt is not what was said"

# eval of best.h5 gives the row that is marked best, on any number of ranks
row=$(grep ',1$' runs/small/metrics.csv | tail -n 1)
counts=$(echo "$row" | cut -d, -f12)/$(echo "$row" | cut -d, -f13)
expect 0 "($counts)" "$thaw" eval runs/small/job.yaml --checkpoint runs/small/best.h5
expect 0 "val loss $(echo "$row" | cut -d, -f9) " "$thaw" eval runs/small/job.yaml --checkpoint runs/small/best.h5
expect 0 "val loss $(echo "$row" | cut -d, -f9) " mpirun -n 3 "$thaw" eval runs/small/job.yaml --checkpoint runs/small/best.h5

# predictions.csv is of the best epoch: as many are right there, and eval's matrix has the same
right=$(awk -F, 'NR > 1 && $3 == $4' runs/small/predictions.csv | wc -l)
[ "$right/35" = "$counts" ] || fail "predictions.csv has $right right, the best epoch $counts"
expect 0 "balanced accuracy 0." "$thaw" eval runs/small/job.yaml --checkpoint runs/small/best.h5
grep -q "^fit     " runs/small/log.txt || fail "no word on the fit"
[ "$(find runs/small -name 'events.out.tfevents.*' -size +300c | wc -l)" = 1 ] || fail "no events: $(ls -l runs/small)"

# --- the same bits for 1, 2 and 4 ranks ----------------------------------------------------------------------------------

# seconds and pictures a second are not part of the result
results() {
    sha256sum <"$1/last.h5"
    sha256sum <"$1/best.h5"
    rows "$1"
    cat "$1/predictions.csv"
}
for ranks in 1 2 4; do
    mkdir "ranks$ranks"
    (cd "ranks$ranks" && ln -s ../data data && mpirun -n $ranks "$thaw" train ../job.yaml --set replicas=4 >said 2>&1) ||
        fail "$ranks ranks: $(cat ranks$ranks/said)"
done
[ "$(results ranks1/runs/small)" = "$(results ranks2/runs/small)" ] || fail "1 and 2 ranks differ"
[ "$(results ranks1/runs/small)" = "$(results ranks4/runs/small)" ] || fail "1 and 4 ranks differ"
[ "$(results ranks1/runs/small)" != "$(results runs/small)" ] || fail "four replicas give what one gives: is anything compared?"
# a share that is not one node of the tree: six replicas on one rank, two and three
for ranks in 1 2 3; do
    mkdir "six$ranks"
    (cd "six$ranks" && ln -s ../data data && mpirun -n $ranks "$thaw" train ../job.yaml --set replicas=6 \
        --set 'phases=[{epochs: 2, train: all}]' >said 2>&1) || fail "six replicas, $ranks ranks: $(cat six$ranks/said)"
done
[ "$(results six1/runs/small)" = "$(results six2/runs/small)" ] || fail "six replicas: 1 and 2 ranks differ"
[ "$(results six1/runs/small)" = "$(results six3/runs/small)" ] || fail "six replicas: 1 and 3 ranks differ"

# pictures that are distorted, mixed and drawn with replacement, weighed by their classes
for ranks in 1 2; do
    mkdir "mixed$ranks"
    (cd "mixed$ranks" && ln -s ../data data && mpirun -n $ranks "$thaw" train ../job.yaml --set replicas=4 \
        --set 'phases=[{epochs: 1, train: all, augment: {mixup: 0.4, cutmix: 1}}, {epochs: 2, train: all, augment: {rotation: 10, hue: 0.1, blur: 0.5}}]' \
        --set data.sampling=balanced --set loss.class_weights=balanced --set loss.smoothing=0.1 >said 2>&1) ||
        fail "mixed, $ranks ranks: $(cat mixed$ranks/said)"
done
[ "$(results mixed1/runs/small)" = "$(results mixed2/runs/small)" ] || fail "mixed: 1 and 2 ranks differ"

# --- frozen means frozen ---------------------------------------------------------------------------------------------------

# changed A B: tensors of the model whose bytes differ
changed() {
    diff <("$thaw" show --tensors "$1" | grep ' model/') <("$thaw" show --tensors "$2" | grep ' model/') |
        sed -n 's/^> *model\/\([^ ]*\).*/\1/p'
}
frozen=("$thaw" train job.yaml --set 'phases=[{epochs: 2, train: [fc]}]')
expect 0 "" "${frozen[@]}" --set name=frozen
[ "$(changed runs/frozen/previous.h5 runs/frozen/last.h5 | tr '\n' ' ')" = "fc.bias fc.weight " ] ||
    fail "frozen, yet changed: $(changed runs/frozen/previous.h5 runs/frozen/last.h5)"
expect 0 "" "${frozen[@]}" --set name=moving --set batchnorm=train
changed runs/moving/previous.h5 runs/moving/last.h5 | grep -q layer2.1.bn1.running_mean ||
    fail "batchnorm: train does not move the statistics"
changed runs/moving/previous.h5 runs/moving/last.h5 | grep -q conv && fail "batchnorm: train moves weights"

# --- failures ----------------------------------------------------------------------------------------------------------------

expect 0 "runs/small-2" "$thaw" train job.yaml --fresh --set 'phases=[{epochs: 1, train: [fc]}]'
expect 2 "unknown architecture 'resnet19': there are resnet18" "$thaw" train job.yaml --set model.arch=resnet19 --fresh
expect 2 "'layer9' names no part of this network" "$thaw" train job.yaml --set 'phases=[{epochs: 1, train: [layer9]}]' --fresh
expect 2 "device: 'gpu', allowed are auto, cuda, cpu, reference" "$thaw" train job.yaml --set device=gpu --fresh
expect 2 "none/train-*.h5" "$thaw" train job.yaml --set 'data.train=none/train-*.h5' --fresh
expect 2 "holds the val split, not train" "$thaw" train job.yaml --set 'data.train=data/val-*.h5' --fresh
expect 2 "replicas: 4 cannot be divided among 3 ranks" mpirun -n 3 "$thaw" train job.yaml --set replicas=4 --fresh
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
expect 2 "batch: 2 is less than one picture for each of 3 replicas" mpirun -n 3 "$thaw" train job.yaml --set batch=2 --fresh
expect 2 "eval needs --checkpoint" "$thaw" eval job.yaml
expect 1 "no.h5" "$thaw" eval job.yaml --checkpoint no.h5
expect 2 "holds a resnet20, the job names resnet32" "$thaw" eval job.yaml --set model.arch=resnet32 --checkpoint runs/small/best.h5
cp runs/small/best.h5 damaged.h5
printf 'x' | dd of=damaged.h5 bs=1 seek=20000 conv=notrunc 2>/dev/null
expect 1 "damaged.h5" "$thaw" eval job.yaml --checkpoint damaged.h5

"$helpers/poison" runs/small/best.h5 poisoned.h5 model/fc.bias || fail "no poisoned checkpoint"
expect 76 "'poisoned.h5': the validation loss is nan" "$thaw" eval job.yaml --checkpoint poisoned.h5
expect 76 "'poisoned.h5': the validation loss is nan" mpirun -n 2 "$thaw" eval job.yaml --checkpoint poisoned.h5

# one picture for a replica, of a full batch, is too few for a norm over 1x1, also where only the head trains
one_number=("$thaw" train job.yaml --set model.arch=resnet18 --fresh --set replicas=4)
expect 2 "leaves 'layer4.0.bn1' one number per channel to normalise" "${one_number[@]}" --set batch=4 \
    --set 'phases=[{epochs: 1, train: all}]'
expect 2 "leaves 'layer4.0.bn1' one number per channel to normalise" "${one_number[@]}" --set batch=5 \
    --set 'phases=[{epochs: 1, train: all}]'
expect 2 "leaves 'layer4.0.bn1' one number per channel to normalise" "${one_number[@]}" --set batch=4 \
    --set 'phases=[{epochs: 1, train: [fc]}]' --set batchnorm=train
expect 2 "leaves 'layer4.0.bn1' one number per channel to normalise" "${one_number[@]}" --set batch=4 \
    --set 'phases=[{epochs: 1, train: [fc]}, {epochs: 1, train: all}]'
expect 2 "unknown implementation 'winogrd': there are direct" env THAW_CONVOLUTION=winogrd "$thaw" train job.yaml --fresh
[ ! -e runs/small-3 ] || fail "a refused run left a folder"

# a gradient that is not finite: exit code 76, said once and in the log, and nothing is best. A rate times a decay of a
# million makes every weight a million times larger in each step; two steps are enough.
million=(--set optimizer.lr=1000 --set optimizer.weight_decay=1000 --set 'phases=[{epochs: 4, train: all}]')
expect 76 "epoch 1, step 3: the gradient of 'conv1.weight' is not finite; a lower optimizer.lr may help" \
    "$thaw" train job.yaml --set name=diverged --set batch=22 "${million[@]}"
grep -q "step 3: the gradient of 'conv1.weight'" runs/diverged/log.txt || fail "log.txt does not say why the run ended"
[ ! -e runs/diverged/best.h5 ] || fail "a diverged run has a best checkpoint"
expect 76 "epoch 1, step 5: the gradient of 'conv1.weight' is not finite, and 2 of 2 steps were left out" \
    mpirun -n 2 "$thaw" train job.yaml --set name=exploded --set max_skipped=2 --set batch=4 "${million[@]}"
[ "$(grep -c '^thaw: epoch' said)" = 1 ] || fail "told more than once: $(cat said)"
[ "$(grep -c '^thaw: warning: .*: the step is left out, . of 2 that may be' said)" = 2 ] || fail "not told: $(cat said)"

# wrong words, once for all ranks; help; output that nobody can take
expect 2 "thaw: train takes one job file, not 0" mpirun -n 3 "$thaw" train
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
expect 0 "usage: [mpirun -n N] thaw eval" "$thaw" help eval
expect 0 "optimizer.lr" "$thaw" help job
expect 2 "no help on 'spells'" "$thaw" help spells
expect 2 "unknown command 'trian'" "$thaw" trian
expect 1 "cannot write standard output" sh -c "'$thaw' --version >/dev/full"

# a stream that is closed does not become one of the run's files
"$thaw" train job.yaml --set name=closed --set 'phases=[{epochs: 1, train: [fc]}]' >&- 2>&- <&- || fail "closed streams"
[ "$(grep -c '^epoch ' runs/closed/log.txt)" = 1 ] || fail "closed streams: $(cat runs/closed/log.txt)"
"$thaw" train job.yaml --set name=piped --set 'phases=[{epochs: 3, train: [fc]}]' 2>/dev/null | head -n 1 >/dev/null
[ "$(wc -l <runs/piped/metrics.csv)" = 4 ] || fail "a reader that leaves ends the run"

# ranks that find other files under the same path
mkdir rank0 rank1
for rank in 0 1; do cp job.yaml rank$rank/ && ln -s ../data rank$rank/data; done
apart=(mpirun -n 2 sh -c "cd \"$PWD/rank\$OMPI_COMM_WORLD_RANK\" && exec '$thaw' train job.yaml")
sed -i 's/lr: 0.05/lr: 0.06/' rank1/job.yaml
expect 2 "rank 1: 'job.yaml' holds something else here than for rank 0" "${apart[@]}"
cp job.yaml rank1/job.yaml
rm rank1/data
"$thaw" demo others --train 13 --val 7 --size 40 --seed 1 >/dev/null && "$thaw" pack others -o rank1/data --resize 36 >/dev/null 2>&1
expect 2 "rank 1: 'data/val-*.h5' holds something else here" "${apart[@]}"
cp data/val-* rank1/data/
expect 2 "rank 1: 'data/train-*.h5' holds something else here" "${apart[@]}"

# a start that fails takes its folder with it; a name with room for a number has beside it a place to begin
expect 1 "cannot" prlimit --fsize=100 "$thaw" train job.yaml --set name=tiny
[ ! -e runs/tiny ] || fail "a start that failed left $(ls -a runs/tiny)"
long=$(printf 'x%.0s' $(seq 61))
short=(--set 'phases=[{epochs: 1, train: [fc]}]')
expect 0 "" "$thaw" train job.yaml --set "name=$long" "${short[@]}"
expect 0 "runs/$long-2" "$thaw" train job.yaml --set "name=$long" --fresh "${short[@]}"
expect 0 "" "$thaw" train job.yaml --set "name=${long}xx" "${short[@]}"
expect 2 "leaves no room for a number" "$thaw" train job.yaml --set "name=${long}xx" --fresh "${short[@]}"

# pictures that do not suit the crop
expect 0 "validation sees only their middle; thaw pack --resize 18 would suit" "$thaw" train job.yaml --set data.crop=16 --steps 1
expect 0 "they are enlarged" "$thaw" train job.yaml --set data.crop=40 --steps 1

# measuring: over the end of an epoch, and of the job
expect 0 "img/s over 11 steps" "$thaw" train job.yaml --steps 12
expect 0 "the job ended after 27 of 99 steps" "$thaw" train job.yaml --steps 99
expect 0 "start to first step" "$thaw" train job.yaml --steps 1
grep -q "^epoch " said && fail "a measurement has a table: $(cat said)"

# four starts at once on one folder: one begins
for i in 1 2 3 4; do
    ("$thaw" train job.yaml --set name=race --set 'phases=[{epochs: 1, train: [fc]}]' >/dev/null 2>&1; echo $? >race$i) &
done
wait
[ "$(cat race? | sort | tr '\n' ' ')" = "0 2 2 2 " ] || fail "four starts ended with $(cat race? | tr '\n' ' ')"

# other data: another class list is refused by name
mkdir -p other/train other/val
for split in train val; do cp -r pictures/$split/* other/$split/ && mv "other/$split/disc" "other/$split/duck"; done
"$thaw" pack other -o otherdata --resize 36 >/dev/null 2>&1
expect 2 "class 0 is 'disc' in 'runs/small/best.h5' and 'duck' in 'otherdata/val-*.h5'" "$thaw" eval job.yaml --set 'data.val=otherdata/val-*.h5' \
    --checkpoint runs/small/best.h5
expect 2 "" "$thaw" train job.yaml --set 'data.val=otherdata/val-*.h5' --fresh

# a shard that becomes shorter under a run
cp -r data short
(for _ in $(seq 200); do grep -q '^    1 ' saidshort 2>/dev/null && break; sleep 0.02; done; truncate -s 4096 short/train-*.h5) &
"$thaw" train job.yaml --set name=short --set 'data.train=short/train-*.h5' --set 'phases=[{epochs: 4000, train: [fc]}]' \
    >saidshort 2>&1
[ $? = 1 ] && grep -q "thaw: 'short/train.*became shorter while it was read" saidshort || fail "cut shard: $(tail -n 3 saidshort)"

# one rank runs out of memory: all end with its words and exit code
expect 78 "rank 1: out of memory" mpirun -n 2 \
    sh -c "[ \$OMPI_COMM_WORLD_RANK = 0 ] || ulimit -v 600000
        exec '$thaw' train job.yaml --set name=hungry --set model.arch=resnet152"

# Whether a process runs thaw, and those below a launcher that do.
is_rank() {
    [ "$(readlink "/proc/$1/exe")" = "$thaw" ]
}
ranks_of() {
    local child
    for child in $(pgrep -P "$1"); do
        if is_rank "$child"; then echo "$child"; else ranks_of "$child"; fi
    done
}

# rank 0 can no longer write checkpoints: it says so and takes the other one down, and what was written stays whole
timeout 60 mpirun -n 2 "$thaw" train job.yaml --set name=full --set 'phases=[{epochs: 500, train: all}]' >said 2>&1 &
launcher=$!
for _ in $(seq 100); do [ -s runs/full/best.h5 ] && break; sleep 0.1; done
for pid in $(ranks_of $launcher); do prlimit --pid "$pid" --fsize=204800 || fail "no limit on $pid"; done
wait $launcher
got=$?
[ $got = 1 ] && grep -qF "thaw: cannot write" said || fail "a full disk: exit code $got, want 1: $(cat said)"
[ "$(grep -c ',1$' runs/full/metrics.csv)" = "$(grep -c 'best$' runs/full/log.txt)" ] || fail "other rows are best than were said"
[ -z "$(find runs/full -name '*.tmp')" ] || fail "half a checkpoint stays: $(ls runs/full)"
expect 0 "" "$thaw" eval job.yaml --checkpoint runs/full/best.h5

expect 1 "cannot write" prlimit --fsize=20000 "$thaw" train job.yaml --set name=fuller "${short[@]}"
[ ! -e runs/fuller/best.h5 ] && [ ! -e runs/fuller/metrics.csv ] || fail "a best epoch without a checkpoint: $(ls runs/fuller)"

# one rank is killed: all are gone soon, and what was written stays whole
mpirun -n 2 "$thaw" train job.yaml --set name=killed --set 'phases=[{epochs: 500, train: all}]' >said 2>&1 &
launcher=$!
for _ in $(seq 100); do [ -s runs/killed/best.h5 ] && break; sleep 0.1; done
ranks=$(ranks_of $launcher)
[ "$(wc -w <<<"$ranks")" = 2 ] && kill -9 "$(tail -n 1 <<<"$ranks")" || fail "no rank to kill"
for _ in $(seq 100); do kill -0 $launcher 2>/dev/null || break; sleep 0.1; done
kill -0 $launcher 2>/dev/null && fail "a killed rank leaves the others running" && kill -9 $launcher
for pid in $ranks; do is_rank "$pid" && sleep 3 && is_rank "$pid" && fail "rank $pid outlives the killed one"; done
expect 0 "" "$thaw" eval job.yaml --checkpoint runs/killed/best.h5

finish
