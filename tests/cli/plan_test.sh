#!/usr/bin/env bash
# plan_test.sh THAW: what a job would do. Numbers by hand: parameters as torchvision counts them, steps, memory, rates.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 2 3
before=$(find . | sort)

# says WORDS...: what was said last has them, however many spaces stand between
says() {
    local words
    for words in "$@"; do
        tr -s ' ' <said | grep -qF -- "$words" || fail "does not say '$words': $(cat said)"
    done
}

# --- phases, steps, rates ------------------------------------------------------------------------------------------------

# ResNet-20 with five classes: 464 + 14,016 + 51,072 + 203,520 numbers in conv1 .. layer3, 64 * 5 + 5 in fc; of 65 pictures
# 5 batches of 16 or 6 of 12: 5 + 2 * 5 + 3 * 6 steps
expect 0 "" "$thaw" plan job.yaml --no-time
says "65 train (disc 13, ring 13, square 13, star 13, triangle 13) 35 val (disc 7," "crop 32 batch 16 = 1 x 16" \
    "normalised as the shards say: mean 0.485 0.456 0.406, std 0.229 0.224 0.225" \
    "resnet20 269,397 parameters" " 13 7 disc" " 13 7 triangle" \
    " 1 1 fc 325 0.1% 5 " " 2 2-3 layer3 fc 203,845 75.7% 5 " " 3 4-6 all 269,397 100.0% 6 " "12 = 1 x 12" \
    "epoch phase conv1-layer2 layer3 fc" \
    " 1 1 - - 5.00e-02" " 2 2 - 5.00e-02 5.00e-02" " 4 3 2.00e-02 2.00e-02 2.00e-02" " 6 3 1.00e-02 1.00e-02 1.00e-02" \
    "total 6 epochs, 33 steps" "advice train everything (train: all), as this job does" \
    "warning: phase 2: 65 pictures leave 1 for the last batch"
grep -q "about" said && fail "--no-time has a time: $(cat said)"
tr -s ' ' <said | grep -q "^ 5 3 " && fail "the middle of a phase is told: $(cat said)"

[ ! -e cache/convolutions.txt ] || fail "--no-time timed convolutions: $(cat cache/convolutions.txt)"

# every epoch; parts with factors of their own: three blocks of layer3, of which the last has half the rate
expect 0 "" "$thaw" plan job.yaml --no-time --rates --set 'optimizer.lr_scale={layer1: 0.1, layer3.2: 0.5}'
says "epoch phase conv1 layer1 layer2 layer3.0-layer3.1 layer3.2 fc" " 2 2 - - - 5.00e-02 2.50e-02 5.00e-02" \
    " 5 3 2.00e-02 2.00e-03 2.00e-02 2.00e-02 1.00e-02 2.00e-02" " 6 3 1.00e-02 1.00e-03 1.00e-02 1.00e-02 5.00e-03 1.00e-02"
expect 0 "at most 4 epochs" "$thaw" plan job.yaml --no-time --set early_stopping.patience=2 --set 'phases=[{epochs: 4, train: all}]'
says "epoch phase all" " 4 1 5.00e-02"

# a schedule that moves by steps goes on over the phases: 6 epochs of 5, 5, 5, 6, 6 and 6 steps of which epoch 6 begins with
# step 27 of 33: 0.05 * (1 + cos(pi * 27 / 33)) / 2 = 0.0039687
expect 0 "" "$thaw" plan job.yaml --no-time --set schedule.kind=cosine \
    --set 'phases=[{epochs: 3, train: all}, {epochs: 3, train: all, batch: 12}]'
says " 1 1 5.00e-02" " 6 2 3.97e-03"

# --- ResNet-18 with two classes: 11,177,538 numbers, 1,026 in fc, 8,393,728 in layer4 (torchvision) -------------------------

rm -rf pictures/{train,val}/{ring,square,star}
"$thaw" pack pictures -o two --resize 36 >/dev/null 2>&1 || fail pack
resnet18=("$thaw" plan job.yaml --no-time --set model.arch=resnet18 --set 'data.train=two/train-*.h5' --set 'data.val=two/val-*.h5'
    --set 'phases=[{epochs: 3, train: [fc]}, {epochs: 3, train: [layer4, fc]}, {epochs: 3, train: all}]')
expect 0 "" "${resnet18[@]}"
says "resnet18 11,177,538 parameters" "1 1-3 fc 1,026 0.0% 2 " "2 4-6 layer4 fc 8,394,754 75.1% 2 " \
    "3 7-9 all 11,177,538 100.0% 2 " "total 9 epochs, 18 steps"

# memory of the last phase in MiB: parameters, gradients and momentum are 3 * 42.64, what Adam has more is 42.64; two
# replicas on one rank keep two slabs of gradients, on two ranks one each
memory() {
    sed -n 's/.* \([0-9]*\) MiB  .*/\1/p' said | tail -n 1
}
# kind COLUMN: of the last phase, in tenths of MiB
kind() {
    sed -n '/^MiB of rank 0$/,/^$/s/^ *3 //p' said | awk -v column="$1" '{print $column * 10}'
}
sgd=$(memory)
sum=$(sed -n '/^MiB of rank 0$/,/^$/s/^ *3 //p' said | awk '{print int($1 + $2 + $3 + $4 + $5 + $6 + $7 + 0.5)}')
[ $((sum - sgd)) -ge -1 ] && [ $((sum - sgd)) -le 1 ] || fail "parts of $sgd MiB make $sum: $(cat said)"
[ "$(kind 1)" = 427 ] && [ "$(kind 2)" = 0 ] && [ "$(kind 3)" = 426 ] && [ "$(kind 4)" = 427 ] && [ "$(kind 7)" = 0 ] ||
    fail "parameters, average, optimizer, gradients, pictures: $(cat said)"
[ "$sgd" -ge 128 ] && [ "$sgd" -le 200 ] || fail "SGD needs $sgd MiB"
expect 0 "" "${resnet18[@]}" --set optimizer.kind=adam --set optimizer.lr=1e-3
[ $(($(memory) - sgd)) -ge 42 ] && [ $(($(memory) - sgd)) -le 44 ] || fail "Adam needs $(memory) MiB, SGD $sgd"
[ "$(kind 3)" = 853 ] || fail "optimizer of Adam: $(cat said)"
expect 0 "" "${resnet18[@]}" --set replicas=2
[ "$(kind 4)" = 854 ] || fail "gradients of two replicas: $(cat said)"
two=$(memory)
expect 0 "batch 16 = 2 x 8" mpirun -n 2 "${resnet18[@]}" --set replicas=2
[ $((two - $(memory))) -ge 42 ] && [ $((two - $(memory))) -le 44 ] || fail "two replicas: one rank $two MiB, two ranks $(memory)"
[ "$(grep -c '^total' said)" = 1 ] || fail "told more than once: $(cat said)"

# which implementation: ResNet-20 has 19 convolutions and no projections; the first makes no gradient by its input
expect 0 "" "$thaw" plan job.yaml --no-time --engines
[ "$(grep -cE '^phase [123], batches of 1[62]$' said)" = 3 ] || fail "not a table for each phase: $(cat said)"
sed -n '/^phase 3, batches of 12$/,$p' said >phase3
[ "$(awk '/^ +[0-9]+  /{sum += $1} END{print sum}' phase3)" = 19 ] || fail "not 19 convolutions: $(cat phase3)"
grep -qE '^    1  3 to 16, 32x32, kernel 3 +(direct|winograd) +- +(direct|winograd)$' phase3 || fail "conv1: $(cat phase3)"
grep -qE '^    1  32 to 64, 16x16 to 8x8, kernel 3, stride 2 +direct +direct +direct$' phase3 || fail "layer3.0: $(cat phase3)"
sed -n '/^phase 1, batches of 16$/,/^$/p' said | grep -E '^ +[0-9]' | grep -qvE ' +- +-$' && fail "a frozen layer makes gradients: $(cat said)"
expect 0 "" env THAW_CONVOLUTION=plain "$thaw" plan job.yaml --no-time --engines
grep -qE '^    6  16 to 16, 32x32, kernel 3 +plain +plain +plain$' said || fail "plain: $(cat said)"
rm phase3

# --- time, and many classes --------------------------------------------------------------------------------------------------

expect 0 "33 steps, about " mpirun -n 2 "$thaw" plan job.yaml --set replicas=4
[ "$(tr -s ' ' <said | grep -cE '= 4 x [0-9.]+ [0-9.]+ s$')" = 3 ] || fail "not every phase has a time: $(cat said)"
expect 0 "33 steps, about " "$thaw" plan job.yaml
[ -s cache/convolutions.txt ] || fail "nothing was timed"
for i in $(seq 10 32); do
    mkdir -p "pictures/train/c$i" "pictures/val/c$i"
    for split in train val; do
        file=$(ls "pictures/$split/disc" | head -n 1)
        cp "pictures/$split/disc/$file" "pictures/$split/c$i/$i.${file##*.}"
    done
done
"$thaw" pack pictures -o many --resize 36 >/dev/null 2>&1 || fail "pack of many classes"
expect 0 "" "$thaw" plan job.yaml --no-time --set 'data.train=many/train-*.h5' --set 'data.val=many/val-*.h5'
says " 1 1 c10" " 1 1 c19" " ... ... 5 classes between" " 1 1 c32" " 13 7 disc" \
    "23 of 25 classes have fewer than 10 training pictures: c10 1, c11 1, c12 1, ..." \
    "class 'disc' has 13 training pictures, 'c10' 1: with loss.class_weights: balanced"
tr -s ' ' <said | grep -q " c20$" && fail "a class from the middle is listed: $(cat said)"

# --- more than the machine has -------------------------------------------------------------------------------------------------

# 65 pictures of 4096 x 4096 in one batch: 16 channels of them are 65 GiB, and ResNet-56 has 57 such values to keep. Said
# before they are taken, and before convolutions are timed on them.
large=(--set data.crop=4096 --set model.arch=resnet56 --set batch=65 --set 'phases=[{epochs: 1, train: all}]')
for command in "plan job.yaml --no-time" "plan job.yaml" "train job.yaml --set name=large"; do
    timeout 60 "$thaw" $command "${large[@]}" >said 2>&1 &
    launcher=$! most=0
    while kill -0 $launcher 2>/dev/null; do
        for rank in $(ranks_of $launcher); do
            resident=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$rank/status" 2>/dev/null)
            [ "${resident:-0}" -le $most ] || most=$resident
        done
        sleep 0.1
    done
    wait $launcher
    code=$?
    [ $code = 78 ] || fail "$command: exit code $code: $(cat said)"
    says "out of memory: batch: 65 needs 4" " GiB for activations, " " are free: "
    [ "$most" -lt 4000000 ] || fail "$command took $most KiB before it failed"
done
[ ! -e runs ] || fail "a run that has no memory left $(find runs)"

# --- what is wrong ------------------------------------------------------------------------------------------------------------

expect 0 "a learning rate of 5; usual for sgd with batches of 16 is 0.0001 to 0.5" "$thaw" plan job.yaml --no-time --set optimizer.lr=5
expect 0 "batch 16 = 7 x 2 or 3" "$thaw" plan job.yaml --no-time --set replicas=7
expect 0 "a batch of 1048576, but there are 65 training pictures" "$thaw" plan job.yaml --no-time --set batch=1048576
expect 0 "threads: 1024, but there " "$thaw" plan job.yaml --no-time --set threads=1024
expect 0 "a warm-up of 100 epochs, but its schedule has 3" "$thaw" plan job.yaml --no-time --set schedule.warmup=100
expect 0 "a factor of 0 freezes 'fc'" "$thaw" plan job.yaml --no-time --set 'optimizer.lr_scale={fc: 0}'
expect 2 "optimizer.momentum: 1, allowed are 0 to 0.999999" "$thaw" plan job.yaml --no-time --set optimizer.momentum=1
expect 0 "they are enlarged" "$thaw" plan job.yaml --no-time --set data.crop=40
expect 0 "advice  train everything (train: all), but this job trains the head alone" "$thaw" plan job.yaml --no-time \
    --set 'phases=[{epochs: 1, train: [fc]}]'
expect 2 "plan takes one job file, not 0" "$thaw" plan
expect 2 "plan takes one job file, not 2" mpirun -n 2 "$thaw" plan job.yaml job.yaml
[ "$(grep -c '^thaw: ' said)" = 1 ] || fail "told more than once: $(cat said)"
expect 2 "unknown option '--rate'" "$thaw" plan job.yaml --rate
expect 2 "unknown architecture 'resnet19'" "$thaw" plan job.yaml --set model.arch=resnet19
expect 2 "'layer9' names no part of this network" "$thaw" plan job.yaml --set 'phases=[{epochs: 1, train: [layer9]}]'
expect 2 "replicas: 4 cannot be divided among 3 ranks" mpirun -n 3 "$thaw" plan job.yaml --set replicas=4
expect 2 "none/train-*.h5" "$thaw" plan job.yaml --set 'data.train=none/train-*.h5'
expect 2 "optimizer.lr" "$thaw" plan job.yaml --set optimizer.lr=fast
expect 0 "usage: [mpirun -n N] thaw plan JOB.yaml" "$thaw" help plan

# nothing was written but what timing found
rm -rf two many said
[ "$(find . -not -path './pictures/*' -not -path './cache*' | sort)" = "$(grep -v -e '^./pictures/' -e '^./cache' <<<"$before")" ] ||
    fail "a plan left $(find . -not -path './pictures/*')"

# --- the same at the head of a run ------------------------------------------------------------------------------------------------

expect 0 "" "$thaw" train job.yaml
for words in "normalised as the shards say: mean 0.485 0.456 0.406" "phases  1 fc 325 (0.1%)  2-3 layer3 fc 203,845 (75.7%)  4-6 all" \
    "warning: phase 2: 65 pictures leave 1 for the last batch"; do
    grep -qF "$words" runs/small/log.txt || fail "log.txt does not say '$words': $(cat runs/small/log.txt)"
done
grep -q "^advice" runs/small/log.txt && fail "advice to a job that follows it: $(cat runs/small/log.txt)"
expect 0 "but this job trains the head alone" "$thaw" train job.yaml --set name=head --set 'phases=[{epochs: 1, train: [fc]}]'
grep -q "^advice  train everything" runs/head/log.txt || fail "log.txt has no advice: $(cat runs/head/log.txt)"

finish
