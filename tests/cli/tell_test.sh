#!/usr/bin/env bash
# tell_test.sh THAW: what a run says of itself in each form, how far it is, and status.json.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 2 2
sed -i 's/train: \[fc\]}/train: [fc], augment: {mixup: 0.4}}/; s/^batch: 16/batch: 15/' job.yaml # without a reason to warn
echo "batchnorm: train" >>job.yaml
short=(--set 'phases=[{epochs: 1, train: [fc]}]')

# parse FILE: each line is an object of JSON, by whatever program is there; KEY of the last one is $last
if command -v jq >/dev/null; then
    parse() { jq -e . "$1" >/dev/null; }
    value() { tail -n 1 "$1" | jq -r ".$2"; }
elif command -v python3 >/dev/null; then
    parse() { python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$1"; }
    value() {
        tail -n 1 "$1" | python3 -c 'import json, sys
v = json.load(sys.stdin)[sys.argv[1]]
print("null" if v is None else v if isinstance(v, str) else json.dumps(v))' "$2"
    }
else
    parse() { ! grep -vE '^\{"[a-z_0-9]+": .*\}$' "$1"; }
    value() { # the first of that name: the object's own
        tail -n 1 "$1" | grep -oE "\"$2\": (\"[^\"]*\"|[^,}]*)" | head -n 1 | sed -E 's/^"[^"]*": "?//; s/"$//'
    }
fi

# state NAME KEY WANT: what status.json of a run says
state() {
    parse "runs/$1/status.json" || fail "$1: status.json is no JSON: $(cat "runs/$1/status.json")"
    [ "$(value "runs/$1/status.json" "$2")" = "$3" ] || fail "$1: $2 is not $3: $(cat "runs/$1/status.json")"
}

# --- the table, whatever the form --------------------------------------------------------------------------------------

# what is not the same in two runs of one job
timeless() {
    sed -E "s/runs\/[a-z0-9]+/FOLDER/g; /^ +[0-9]+ /s/ +[0-9.]+ +[0-9.]+( +best)?$/\1/; s/, ([0-9]+ min )?[0-9.]+ s$//" "$1"
}
"$thaw" train job.yaml --set name=table >said 2>heard || fail "a run: $(cat said heard)"
cmp said runs/table/log.txt || fail "log.txt is not what was said"
[ ! -s heard ] || fail "a run of a second tells how far it is: $(cat heard)"
[ "$(grep -c '^    1  fc  .* ~0\.[0-9]\{4\} ' said)" = 1 ] || fail "accuracy on mixed pictures is not marked: $(cat said)"
[ "$(grep -c '~' said)" = 2 ] && grep -A 1 "^epoch " said | grep -q "~ of mixed pictures: the label of the larger" ||
    fail "no word on what ~ means, or too many: $(cat said)"
[ "$(awk -F, '{ print $16 }' runs/table/metrics.csv | tr '\n' ' ')" = "train_mixed 1 0 0 0 0 " ] || fail "metrics.csv: train_mixed"
for form in classic json quiet; do
    "$thaw" train job.yaml --set name=$form --format $form >$form 2>heard || fail "--format $form: $(cat heard)"
    [ ! -s heard ] || fail "--format $form says something on standard error: $(cat heard)"
    diff <(timeless runs/table/log.txt) <(timeless runs/$form/log.txt) || fail "--format $form: another log.txt"
    [ "$(rows runs/$form)" = "$(rows runs/table)" ] || fail "--format $form: another metrics.csv"
done
[ ! -s quiet ] || fail "--quiet says something: $(cat quiet)"

# --- classic: PyTorch's tutorial on transfer learning prints these lines -------------------------------------------------

awk -F, 'NR > 1 {
    printf "Epoch %d/4\n----------\ntrain Loss: %.4f Acc: %.4f\nval Loss: %.4f Acc: %.4f\n\n", $1 - 1, $5, $7 / $8, $9, $12 / $13
    seconds += $14
    if ($17)
        best = $12 / $13
}
END { s = int(seconds + 0.5); printf "Training complete in %dm %ds\nBest val Acc: %4f\n", s / 60, s % 60, best }' runs/classic/metrics.csv >want
diff want classic || fail "--format classic"

# --- json ----------------------------------------------------------------------------------------------------------------

parse json || fail "--json is no JSON: $(cat json)"
[ "$(sed -E 's/^\{"event": "([a-z]+)".*/\1/' json | tr '\n' ' ')" = "start epoch phase epoch epoch phase epoch epoch end " ] ||
    fail "--json: other events: $(cat json)"
grep '"event": "epoch"' json | sed 's/"event": "epoch", //' | cmp - runs/json/metrics.jsonl || fail "--json: epochs are not metrics.jsonl"
sed -n 1p json >start
for pair in 'arch resnet20' 'epochs 5' 'train_count 65' 'val_count 35' 'checkpoint null' 'folder runs/json' 'parameters 269397'; do
    [ "$(value start "${pair% *}")" = "${pair#* }" ] || fail "--json: ${pair% *} is not ${pair#* }: $(cat start)"
done
best=$(grep ',1$' runs/json/metrics.csv | tail -n 1)
for pair in "state finished" "exit_code 0" "folder runs/json" "best_epoch ${best%%,*}" "val_correct $(echo "$best" | cut -d, -f12)"; do
    [ "$(value json "${pair% *}")" = "${pair#* }" ] || fail "--json: ${pair% *} is not ${pair#* }: $(cat json)"
done
expect 0 '{"event": "end", "state": "finished", "exit_code": 0, "folder": "runs/json", "epochs": 5}' "$thaw" train job.yaml --set name=json --json
[ "$(wc -l <said)" = 1 ] || fail "more than that: $(cat said)"
"$thaw" train job.yaml --set 'runs=a"b\' --set name=hard --json "${short[@]}" >said 2>&1 || fail "hard: $(cat said)"
parse said && [ "$(grep -c '"folder": "a\\"b\\\\/hard"' said)" = 2 ] || fail "a hard name: $(cat said)"
"$thaw" train job.yaml --set name=job --json --steps 3 >said 2>&1 || fail "a measurement: $(cat said)"
parse said && [ "$(value said event) $(value said steps)" = "speed 3" ] || fail "--json --steps: $(cat said)"
mpirun -n 2 "$thaw" train job.yaml --set name=two --json "${short[@]}" >said 2>heard || fail "two ranks: $(cat said heard)"
parse said && [ "$(wc -l <said)" = 3 ] || fail "two ranks do not speak as one: $(cat said)"

expect 2 "--format 'jsno': allowed are table, classic, json, quiet" "$thaw" train job.yaml --format jsno
expect 2 "of --format, --json and --quiet only one can be given" "$thaw" train job.yaml --json --quiet
expect 2 "--steps tells a speed, for which --format quiet has no words" "$thaw" train job.yaml --quiet --steps 2
expect 2 "unknown architecture" "$thaw" train job.yaml --json --fresh --set model.arch=none
[ "$(grep -c '^{"event": "end", "state": "failed", "exit_code": 2, "message": "model.arch: unknown architecture .none.: ' said)" = 1 ] ||
    fail "--json: a failure: $(cat said)"
expect 2 "unknown architecture" "$thaw" train job.yaml --quiet --fresh --set model.arch=none

# --- the end ---------------------------------------------------------------------------------------------------------------

# predictions.csv has what the table of classes says, and eval the same
sed -n '/^true /,/^balanced/p' runs/table/log.txt >classes
right=$(awk -F, 'NR > 1 && $3 == $4 && $3 == "star"' runs/table/predictions.csv | wc -l)
grep -qE "^star .*  7    $(awk "BEGIN { printf \"%.3f\", $right / 7 }")  " classes || fail "star: $right of 7 right: $(cat classes)"
"$thaw" eval job.yaml --checkpoint runs/table/best.h5 | sed -n '/^true /,/^balanced/p' | cmp - classes || fail "eval has other classes"

# a class without validation pictures, and which nothing is taken for, has its row and leaves the others theirs
cp -r pictures fewer
find fewer/val/ring -type f -delete
"$thaw" pack fewer -o less --resize 36 >/dev/null 2>&1 || fail "pack with an empty class"
"$thaw" train job.yaml --set 'data.train=less/train-*.h5' --set 'data.val=less/val-*.h5' --set name=less "${short[@]}" >said 2>&1 ||
    fail "an empty class: $(cat said)"
grep -q ',ring,' runs/less/predictions.csv && fail "something is taken for a ring: the test tells nothing"
grep -qE '^ring  .*  0        -          -      -$' said || fail "no row of an empty class: $(cat said)"
"$thaw" eval runs/less/job.yaml --checkpoint runs/less/best.h5 | sed -n '/^true /,/^balanced/p' >classes
sed -n '/^true /,/^balanced/p' said | cmp - classes || fail "eval has other classes: $(cat said classes)"

# the time is that of all epochs, whatever process trained them; the classes are those of best.h5, though this one wrote none
slow=(--set name=slow --set 'phases=[{epochs: 40, train: [fc], lr: 0}]') # the first epoch stays the best
"$thaw" train job.yaml "${slow[@]}" >/dev/null 2>&1 &
for _ in $(seq 200); do [ "$(cat runs/slow/metrics.csv 2>/dev/null | wc -l)" -ge 3 ] && break; sleep 0.02; done
kill -TERM $!
wait $!
[ $? = 75 ] || fail "a run of forty epochs was over before it was stopped"
state slow state stopped
state slow message "$(tail -n 1 runs/slow/log.txt | sed 's/^thaw: //')"
awk -F, -v OFS=, 'NR == 2 { $14 = 3661 } { print }' runs/slow/metrics.csv >metrics && cp metrics runs/slow/metrics.csv
expect 0 "at epoch 1, 1 h 1 min" "$thaw" train job.yaml "${slow[@]}"
[ "$(sed -n '/^true /,/^balanced/p' said | wc -l)" = 7 ] || fail "no classes of a run that went on: $(cat said)"

# --- how far it is -----------------------------------------------------------------------------------------------------------

"$thaw" train job.yaml --set name=lines --progress 0.001 >said 2>heard || fail "--progress: $(cat said heard)"
cmp said runs/lines/log.txt || fail "--progress changes log.txt or what is said"
for line in 'epoch [1-5]/5  step [0-9]*/5  [0-9.]* img/s  loss [0-9.]*  left [0-9]*:[0-9]*, run [0-9]*:[0-9]*' \
    'epoch 5/5  validation 1/2  [0-9.]* img/s  left [0-9]*:[0-9]*, run [0-9]*:[0-9]*'; do
    grep -qx "$line" heard || fail "no line '$line': $(cat heard)"
done
! grep -vE '^epoch [1-5]/5  (step [1-6]/[56]|validation 1/2)  ' heard || fail "other lines: $(cat heard)"
grep -q $'[\r\033]' heard && fail "a line for a terminal in a file"

# of one rank the running loss is that of the epoch once it is over
loss=$(grep "^epoch 5/5  step 6/6" heard | sed 's/.*loss \([0-9.]*\).*/\1/')
[ "$loss" = "$(awk -F, '$1 == 5 { printf "%.4f", $5 }' runs/lines/metrics.csv)" ] || fail "running loss $loss: $(cat heard runs/lines/metrics.csv)"
"$thaw" train job.yaml --set name=nolines --progress 0 >said 2>heard && [ ! -s heard ] || fail "--progress 0: $(cat heard)"
"$thaw" train job.yaml --set name=events --progress 0.001 --json >said 2>heard || fail "--progress --json: $(cat said heard)"
parse said && [ ! -s heard ] && grep -q '^{"event": "progress", "state": "validating", "epoch": 5, ' said || fail "--progress --json: $(cat said heard)"

# with an average an epoch is validated twice, which is one validation to those who wait
"$thaw" train job.yaml --set name=average --set average.decay=0.9 --progress 0.001 --json "${short[@]}" >said 2>&1 || fail "$(cat said)"
sed -n 's/.*"state": "validating", .*"step": \([0-9]*\), "steps": \([0-9]*\), .*"loss": \([^,]*\), .*/\1 \2 \3/p' said >steps
[ "$(cut -d' ' -f1,2 steps | tr '\n' ',')" = "1 4,2 4,3 4," ] || fail "validations of weights and average: $(cat said)"
[ "$(cut -d' ' -f3 steps | sort -u)" = "$(sed -n 's/.*"event": "epoch".*"train_loss": \([^,]*\), .*/\1/p' said)" ] ||
    fail "while it validates, the loss is not the epoch's: $(cat said)"
for pair in "metric top1" "best $(awk -F, 'NR == 2 { printf "%.9g", $10 }' runs/average/metrics.csv)" "average_best_epoch 1" \
    "average_correct $(awk -F, 'NR == 2 { print $20 }' runs/average/metrics.csv)"; do
    [ "$(value said "${pair% *}")" = "${pair#* }" ] || fail "--json: ${pair% *} is not ${pair#* }: $(cat said)"
done

# a terminal has one line, no longer than it is wide, that is gone in the end
if command -v script >/dev/null; then
    script -qec "stty cols 40; '$thaw' train job.yaml --set name=screen --set 'phases=[{epochs: 12, train: all}]'" screen >/dev/null 2>&1 </dev/null
    grep -q $'\r''epoch [0-9]*/12  [sv]' screen || fail "no line on a terminal: $(cat -v screen)"
    tr '\r' '\n' <screen | grep '^epoch [0-9]*/12 ' | sed $'s/\033.*//' | awk 'length > 39 { exit 1 }' || fail "a line wider than the terminal"
    tr '\r' '\n' <screen | grep '^epoch [0-9]*/12 ' | grep -qv $'\033\[K' && fail "a line that is not cleared: $(cat -v screen)"
    grep -q epoch.*step runs/screen/log.txt && fail "progress in log.txt"
    script -qec "'$thaw' train job.yaml --set name=dark --quiet" screen >/dev/null 2>&1 </dev/null
    grep -q epoch screen && fail "--quiet on a terminal: $(cat -v screen)"
fi

# --- status.json ---------------------------------------------------------------------------------------------------------------

state table state finished
state table best_epoch "$(grep ',1$' runs/table/metrics.csv | tail -n 1 | cut -d, -f1)"
state table epoch 5
state table phases 3
state table eta_seconds 0
state table message null
state table host "$(hostname)"
[ $(($(date +%s) - $(date -d "$(value runs/table/status.json updated)" +%s))) -lt 600 ] || fail "updated: $(cat runs/table/status.json)"
SLURM_JOB_ID=4711 "$thaw" train job.yaml --set name=slurm "${short[@]}" >/dev/null 2>&1
state slurm slurm_job 4711
state slurm best "$(awk -F, 'NR == 2 { printf "%.9g", $12 / $13 }' runs/slurm/metrics.csv)"

# killed in its last words: the next start says for it that it is finished
cp runs/slurm/status.json status.json
sed -i 's/"state": "finished"/"state": "checkpointing"/' runs/slurm/status.json
expect 0 "is finished, all 1 epochs" "$thaw" train job.yaml --set name=slurm "${short[@]}"
for key in state epoch epochs phase phases metric best best_epoch eta_seconds; do
    state slurm $key "$(value status.json $key)"
done
before=$(cat runs/slurm/status.json)
expect 0 "is finished, all 1 epochs" "$thaw" train job.yaml --set name=slurm "${short[@]}"
[ "$(cat runs/slurm/status.json)" = "$before" ] || fail "a status that is right is written again"

# killed: the last state stays, with its time
"$thaw" train job.yaml "${slow[@]}" --set name=killed >/dev/null 2>&1 &
for _ in $(seq 200); do [ -s runs/killed/metrics.csv ] && break; sleep 0.02; done
kill -9 $!
wait $! 2>/dev/null
state killed pid $!
value runs/killed/status.json state | grep -qE '^(training|validating|checkpointing)$' || fail "killed: $(cat runs/killed/status.json)"

# a rate times a decay of a million: the gradient is soon not finite, and the words are there, once
expect 76 "the gradient of" mpirun -n 2 "$thaw" train job.yaml --set name=broken --set optimizer.lr=1000 --set optimizer.weight_decay=1000 \
    --set 'phases=[{epochs: 4, train: all}]'
state broken state failed
state broken message "$(grep '^thaw: ' runs/broken/log.txt | grep -v '^thaw: warning' | sed 's/^thaw: //')"

# one that cannot be written costs a warning, not the run
"$thaw" train job.yaml "${slow[@]}" --set name=blocked >/dev/null 2>&1 &
for _ in $(seq 200); do [ -s runs/blocked/metrics.csv ] && break; sleep 0.02; done
kill -TERM $!
wait $!
rm runs/blocked/status.json
mkdir runs/blocked/status.json
"$thaw" train job.yaml "${slow[@]}" --set name=blocked >said 2>&1 &
for _ in $(seq 200); do [ "$(wc -l <runs/blocked/metrics.csv)" -ge 6 ] && break; sleep 0.02; done
kill -TERM $!
wait $!
tail -n 1 said | grep -q "^thaw: stopped at step" || fail "the end of a run has other words: $(cat said)"
expect 0 "thaw: warning: cannot rename to 'runs/blocked/status.json': Is a directory: the run goes on without it" \
    "$thaw" train job.yaml "${slow[@]}" --set name=blocked
[ "$(grep -c 'status.json' said)" = 1 ] || fail "warned more than once: $(cat said)"
left=$(find runs -path runs/killed -prune -o -name '*.tmp' -print)
[ -z "$left" ] || fail "temporary files stay: $left"

finish
