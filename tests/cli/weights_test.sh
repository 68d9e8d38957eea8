#!/usr/bin/env bash
# weights_test.sh THAW: files of weights on their way into a job and out of it. Which files are read is tested in
# tests/unit; here: that a network is the same wherever its numbers come from.
golden=$(realpath "$(dirname "$0")/../golden")
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 1
expect 0 "" "$thaw" train job.yaml
best=runs/small/best.h5

# --- convert and inspect -----------------------------------------------------------------------------------------------------

expect 0 "small.safetensors  97 tensors from $best (thaw checkpoint)" "$thaw" weights convert $best small.safetensors
for file in $best small.safetensors; do
    expect 0 "  fits        resnet20, 5 classes" "$thaw" weights inspect $file
    grep -q "trained as  resnet20, normalised with mean 0.485 0.456 0.406" said || fail "$file: facts: $(cat said)"
    grep -q "^  F32   (16, 3, 3, 3)         conv1.weight$" said || fail "$file: tensors: $(cat said)"
done
grep -q "format      safetensors$" said || fail "format: $(cat said)"
"$thaw" weights inspect small.safetensors --json >said 2>&1
for words in '"format": "safetensors"' '"arch": "resnet20"' '"classes": 5' '"resize": 36, "crop": 32, "classes": ["disc", ' '{"name": "fc.bias", "dtype": "F32", "shape": [5]}'; do
    grep -qF -- "$words" said || fail "json: no $words: $(cat said)"
done
expect 0 "" "$thaw" weights convert small.safetensors again.safetensors
cmp -s small.safetensors again.safetensors || fail "a second conversion has other bytes"
expect 0 "half.safetensors  97 tensors" "$thaw" weights convert $best -o half.safetensors --dtype f16
expect 0 "97 of F16 with" "$thaw" weights inspect half.safetensors
expect 0 "95 tensors" "$thaw" weights convert $best backbone.safetensors --drop-head
expect 0 "fits        resnet20, without a head" "$thaw" weights inspect backbone.safetensors
expect 0 '"crop": 32, "classes": []' "$thaw" weights inspect backbone.safetensors --json # nor names for one
expect 0 "" "$thaw" weights convert $best renamed.safetensors --rename layer1.=stage1. --rename fc=head
expect 0 "fits        no architecture of thaw; nearest is resnet20: 'layer1.0.conv1.weight' is missing; " \
    "$thaw" weights inspect renamed.safetensors
"$thaw" weights inspect renamed.safetensors --json >said 2>&1
grep -qF '"arch": null, "other_family": null, "rename": null, "classes": 0, "nearest": "resnet20", "missing": 30, "misshapen": 0, "left_over": 32' said ||
    fail "json: $(cut -c1-400 said)"
expect 0 "" "$thaw" weights convert renamed.safetensors back.safetensors --rename stage1.=layer1. --rename head=fc
cmp -s back.safetensors small.safetensors || fail "names there and back again give other bytes"

# something before all names is told, and taken away
expect 0 "" "$thaw" weights convert $best wrapped.safetensors --rename conv1=net.conv1 --rename bn1=net.bn1 --rename layer=net.layer \
    --rename fc=net.fc
expect 0 "no architecture of thaw: names begin with 'net.', --rename net.= takes it away" "$thaw" weights inspect wrapped.safetensors
expect 2 "model.weights: the names in 'wrapped.safetensors' begin with 'net.'" "$thaw" plan job.yaml --set model.weights=wrapped.safetensors
expect 2 "the names in 'wrapped.safetensors' begin with 'net.'" "$thaw" predict -c wrapped.safetensors pictures
expect 0 "" "$thaw" weights convert wrapped.safetensors back.safetensors --rename net.=
cmp -s back.safetensors small.safetensors || fail "without the prefix there are other bytes"

# a head in a Sequential, and what else there is beside a network
expect 0 "" "$thaw" weights convert $best nested.safetensors --rename fc.=fc.1.
expect 0 "--rename fc.1.=fc. makes a head of it" "$thaw" weights inspect nested.safetensors
expect 2 "; --rename makes the head of it: thaw weights inspect" "$thaw" plan job.yaml --set model.weights=nested.safetensors
expect 0 "" "$thaw" weights convert nested.safetensors back.safetensors --rename fc.1.=fc.
cmp -s back.safetensors small.safetensors || fail "the head comes back with other bytes"
expect 0 "92 tensors" "$thaw" weights convert $best dropped.safetensors --drop bn1. --drop conv1.
expect 0 "fits        no architecture of thaw; nearest is resnet20: 'conv1.weight' is missing; " "$thaw" weights inspect dropped.safetensors

# of whom these are is told by their names
expect 0 "" "$thaw" weights convert $best hf.safetensors --rename conv1.=resnet.embedder.embedder.convolution.
expect 0 "" "$thaw" weights convert $best timm.safetensors --rename conv1.=conv1.0.
expect 0 "no architecture of thaw: it is a ResNet of Hugging Face transformers" "$thaw" weights inspect hf.safetensors
expect 2 "model.weights: 'hf.safetensors' is a ResNet of Hugging Face" "$thaw" plan job.yaml --set model.weights=hf.safetensors
expect 2 "model.weights: 'timm.safetensors' is a ResNet-D of timm" "$thaw" plan job.yaml --set model.weights=timm.safetensors
expect 2 "'timm.safetensors' is a ResNet-D of timm" "$thaw" predict -c timm.safetensors pictures

# --- refused, and nothing written --------------------------------------------------------------------------------------------

before=$(find . -type f -not -name said -not -path "./cache/*" | sort | xargs sha256sum)
echo "hello, world" >text
before="$before $(sha256sum text)"
while IFS='|' read -r code words command; do
    # shellcheck disable=SC2086
    expect "$code" "$words" "$thaw" $command
done <<END
2|'': allowed are inspect and convert|weights
2|'show': allowed are inspect and convert|weights show $best
2|a file is needed|weights inspect
2|is one file too many|weights inspect $best small.safetensors
2|a file to write is needed|weights convert $best
2|is one file too many|weights convert $best a.safetensors b.safetensors
2|writes nothing|weights inspect $best --dtype f16
2|call it so, like 'x.safetensors'|weights convert $best out.pth
2|--dtype 'f8': allowed are f32, f16 and bf16|weights convert $best out.safetensors --dtype f8
2|--rename 'layer1': allowed is OLD=NEW|weights convert $best out.safetensors --rename layer1
2|no tensor begins with 'stage'|weights convert $best out.safetensors --rename stage=layer
2|--drop 'stage': no tensor begins so|weights convert $best out.safetensors --drop stage
2|--drop 'fc': no tensor is left|weights convert $best out.safetensors --drop conv --drop bn --drop layer --drop fc
2|two tensors would be called 'layer1.0.bn1.bias'|weights convert $best out.safetensors --rename layer2=layer1
2|would have no name|weights convert $best out.safetensors --rename fc.bias=
2|so its head is not known|weights convert renamed.safetensors out.safetensors --drop-head
1|cannot open 'none.pth': No such file or directory|weights inspect none.pth
1|'text' holds no weights|weights convert text out.safetensors
1|'data/train-00000-of-00001.h5' is a shard|weights inspect data/train-00000-of-00001.h5
2|model.weights: 'renamed.safetensors' does not fit resnet20|train job.yaml --set name=new --set model.weights=renamed.safetensors
2|model.weights: nothing in 'renamed.safetensors' is of a resnet18|plan job.yaml --set model.arch=resnet18 --set model.weights=renamed.safetensors
1|cannot open 'none.pth'|train job.yaml --set name=new --set model.weights=none.pth
1|'text' holds no weights|train job.yaml --set name=new --set model.weights=text
2|eval needs --checkpoint FILE: 'job.yaml' names no model.weights|eval job.yaml
2|'backbone.safetensors' has no head, it tells nothing apart|eval job.yaml -c backbone.safetensors
2|--checkpoint FILE is needed|predict pictures
2|no pictures|predict -c $best
2|--tta 'rotate': allowed is flip|predict -c $best --tta rotate pictures
2|without a head|predict -c backbone.safetensors pictures
2|is no network of thaw's|predict -c renamed.safetensors pictures
2|--classes 'text': 1 lines, the network tells 5 classes apart|predict -c $best --classes text pictures
END
expect 2 "'./small.safetensors' is the file that is read: it is not replaced" "$thaw" weights convert small.safetensors \
    ./small.safetensors --dtype f16
expect 2 "model.weights: 'small.safetensors' is a resnet20, the job's model.arch is resnet32" "$thaw" plan job.yaml \
    --set model.arch=resnet32 --set model.weights=small.safetensors
cp text there.safetensors
expect 2 "'there.safetensors' is there and cannot be read as safetensors: left as it is" "$thaw" weights convert $best there.safetensors
cmp -s text there.safetensors || fail "what stood at the place of the output is gone"
rm there.safetensors
[ "$(find . -type f -not -name said -not -path "./cache/*" -not -name text | sort | xargs sha256sum) $(sha256sum text)" = "$before" ] ||
    fail "a refusal left something: $(find . -newer text)"
expect 2 "and " "$thaw" plan job.yaml --set model.weights=renamed.safetensors
grep -qF "'fc.weight' is missing" said && fail "more than ten are listed: $(cat said)"
grep -qE "; and [0-9]+ more$" said || fail "no count of what is not listed: $(cat said)"

# --- the same network from every file ------------------------------------------------------------------------------------------

for file in small.safetensors back.safetensors; do
    for ranks in 1 2; do
        mpirun -n $ranks "$thaw" eval job.yaml -c $file >said$ranks 2>&1 || fail "$file: $(cat said$ranks)"
    done
    mpirun -n 2 "$thaw" eval job.yaml -c $best >said 2>&1
    for ranks in 1 2; do
        [ "$(sed -n 's/^\(val loss.*)\) .*/\1/p' said$ranks)" = "$(sed -n 's/^\(val loss.*)\) .*/\1/p' said)" ] ||
            fail "$file says something else than $best: $(cat said$ranks said)"
    done
done
loss=$(sed -n 's/^\(val loss.*)\) .*/\1/p' said)
[ -n "$loss" ] || fail "no loss: $(cat said)"
expect 0 "$loss" "$thaw" eval job.yaml --set model.weights=small.safetensors

# as JSON: the same figures, and every picture in one cell of the matrix
mpirun -n 2 "$thaw" eval job.yaml -c $best --json >json 2>said || fail "eval --json: $(cat said)"
[ "$(wc -l <json)" = 1 ] || fail "eval --json: $(cat json)"
right=$(sed -n 's/^val loss.*top1 [0-9.]* (\([0-9]*\)\/35).*/\1/p' said1)
grep -qF "\"count\": 35, \"top1_correct\": $right, " json || fail "eval --json: not $right of 35: $(cat json)"
[ "$(sed 's/.*"confusion"//' json | grep -o '"count": [0-9]*' | awk '{ s += $2 } END { print s }')" = 35 ] || fail "matrix: $(cat json)"
grep -qF '{"name": "disc", "pictures": 7, "recall": ' json || fail "classes: $(cat json)"

expect 2 "eval needs --checkpoint FILE" mpirun -n 2 "$thaw" eval job.yaml
grep -q "MPI_ABORT\|MPI_Abort" said && fail "all ranks fail alike, and MPI aborts: $(cat said)"

# what is frozen keeps the file's bits, the head of other classes is new
"$thaw" show $best --tensors | grep ' model/' | grep -v ' model/fc' >want
[ "$(wc -l <want)" = 95 ] || fail "tensors: $(cat want)"
expect 0 "weights small.safetensors" "$thaw" train job.yaml --set name=same --set model.weights=small.safetensors \
    --set 'phases=[{epochs: 1, train: [fc], lr: 0.01}]'
grep -q "(fc" said && fail "the same classes, and a new head: $(cat said)"
"$thaw" show runs/same/last.h5 --tensors | grep ' model/' | grep -v ' model/fc' | cmp -s - want || fail "what is frozen changed"
mkdir -p fewer/train fewer/val
for class in $(find pictures/train -mindepth 1 -maxdepth 1 -type d | sort | head -n 3); do
    cp -r "$class" fewer/train/
    cp -r "pictures/val/$(basename "$class")" fewer/val/
done
expect 0 "" "$thaw" pack fewer -o three --resize 36
three=(--set data.train=three/train-*.h5 --set data.val=three/val-*.h5)
expect 0 "weights small.safetensors (fc 5 -> 3, new)" "$thaw" train job.yaml --set name=three "${three[@]}" \
    --set model.weights=small.safetensors --set 'phases=[{epochs: 1, train: [fc]}]'
"$thaw" show runs/three/last.h5 --tensors | grep ' model/' | grep -v ' model/fc' | cmp -s - want || fail "a new head changed the rest"
expect 0 "weights backbone.safetensors (fc new)" "$thaw" plan job.yaml "${three[@]}" --no-time --set model.weights=backbone.safetensors
expect 2 "tells 5 classes apart, the shards have 3" "$thaw" eval job.yaml "${three[@]}" -c small.safetensors
expect 0 "is missing" "$thaw" plan job.yaml --no-time --set model.weights=renamed.safetensors --set model.weights_strict=false
expect 0 "advice  " "$thaw" plan job.yaml --no-time --set model.weights=small.safetensors
grep -q "advice .*feature extraction (train: \[fc\])" said || fail "advice for pre-trained weights: $(cat said)"

# as many classes, and others: the head is not theirs
mkdir others
for split in train val; do
    cp -r pictures/$split others/$split
    mv others/$split/disc others/$split/zebra
done
expect 0 "" "$thaw" pack others -o others/data --resize 36
others=(--set 'data.train=others/data/train-*.h5' --set 'data.val=others/data/val-*.h5')
expect 0 "weights small.safetensors (fc of other classes, new)" "$thaw" train job.yaml --set name=others "${others[@]}" \
    --set model.weights=small.safetensors --set 'phases=[{epochs: 1, train: [fc]}]'
"$thaw" show runs/others/last.h5 --tensors | grep ' model/' | grep -v ' model/fc' | cmp -s - want || fail "other classes changed the rest"
expect 2 "eval: 'small.safetensors' was trained on other classes than the shards have" "$thaw" eval job.yaml "${others[@]}" -c small.safetensors

# a head whose tensors disagree is no other head
expect 0 "" "$thaw" weights convert $best torn.safetensors --rename fc.bias=old.bias --rename layer3.0.bn1.bias=fc.bias
expect 2 "'fc.bias' is (64), expected (5); 'old.bias' is left over" "$thaw" plan job.yaml --set model.weights=torn.safetensors
expect 2 "'fc.weight' is (5, 64), expected (3, 64); 'fc.bias' is (64), expected (3); 'old.bias' is left over" "$thaw" plan job.yaml "${three[@]}" \
    --set model.weights=torn.safetensors

# all ranks have to find the same file
mkdir first second
cp small.safetensors first/w.safetensors
two_folders() { # rank 0 in first/, rank 1 in second/
    # shellcheck disable=SC2016
    mpirun -n 2 bash -c 'cd "$([ "$OMPI_COMM_WORLD_RANK" = 0 ] && echo first || echo second)" && exec "$@"' - \
        "$thaw" eval "$PWD/job.yaml" --set "data.val=$PWD/data/val-*.h5" -c w.safetensors
}
expect 1 "cannot open 'w.safetensors'" two_folders
grep -q "MPI_ABORT\|MPI_Abort" said && fail "one rank ends the other: $(cat said)"
cp half.safetensors second/w.safetensors
expect 2 "'w.safetensors' holds something else here than for rank 0" two_folders
cp small.safetensors second/w.safetensors
expect 0 "$loss" two_folders

# a network that is not whole is not evaluated, whatever training may take
expect 2 "eval: 'renamed.safetensors' does not fit resnet20" "$thaw" eval job.yaml -c renamed.safetensors --set model.weights_strict=false

# on any number of ranks; a run goes on without the file
mpirun -n 2 "$thaw" train job.yaml --set name=two --set replicas=2 --set model.weights=small.safetensors >said 2>&1 || fail "2 ranks: $(cat said)"
expect 0 "" "$thaw" train job.yaml --set name=one --set replicas=2 --set model.weights=small.safetensors
for run in one two; do "$thaw" show runs/$run/last.h5 --tensors | grep ' model/' >of-$run; done
[ "$(wc -l <of-one)" = 97 ] && cmp -s of-one of-two || fail "one rank and two begin otherwise"
mv small.safetensors moved
expect 0 "" "$thaw" train job.yaml --set name=one --set replicas=2 --set model.weights=small.safetensors
mv moved small.safetensors

# shards that are of another size, or normalised otherwise
expect 0 "" "$thaw" pack pictures -o larger --resize 40
expect 0 "was trained with pictures of 36 pixels cropped to 32, the shards have 40 and data.crop is 32" "$thaw" plan job.yaml \
    --no-time --set 'data.train=larger/train-*.h5' --set 'data.val=larger/val-*.h5' --set model.weights=small.safetensors
expect 0 "" "$thaw" pack pictures -o own --resize 36 --normalize measure
own=(--set 'data.train=own/train-*.h5' --set 'data.val=own/val-*.h5')
expect 2 "is normalised by mean" "$thaw" eval job.yaml "${own[@]}" -c $best
expect 2 "eval: 'small.safetensors' was trained with mean 0.485 0.456 0.406" "$thaw" eval job.yaml "${own[@]}" -c small.safetensors
LC_ALL=C sed 's/0.405999988/0.406999988/' small.safetensors >mean.safetensors
expect 2 "eval: 'mean.safetensors' was trained with mean 0.485 0.456 0.407" "$thaw" eval job.yaml -c mean.safetensors
expect 0 "was trained with mean 0.485 0.456 0.406" "$thaw" plan job.yaml --no-time --set 'data.train=own/train-*.h5' \
    --set 'data.val=own/val-*.h5' --set model.weights=small.safetensors

# --- predict -------------------------------------------------------------------------------------------------------------------

# says of each picture what the validation said of it
"$thaw" predict -c $best pictures/val --top 1 >predicted 2>said || fail "predict: $(cat said)"
awk -F, 'NR > 1 { printf "pictures/val/%s  %s %.4f\n", $2, $4, $5 }' runs/small/predictions.csv | sort >want
sort predicted | cmp -s - want || fail "predict and validation differ: $(diff predicted want | head -n 6)"
find pictures/val -type f | sort | "$thaw" predict -c small.safetensors - --top 1 --batch 7 --threads 3 2>said | cmp -s - predicted ||
    fail "from a list, in other batches: $(cat said)"

# several networks, and mirrored pictures: the mean
expect 0 "" "$thaw" train job.yaml --set name=crop --set data.crop=28 --set 'phases=[{epochs: 1, train: [fc]}]'
some=$(sed -n '1s/  .*//p' predicted)
probability() { # OPTIONS...: of the first class
    "$thaw" predict "$@" "$some" --top 10 --json | sed 's/.*"label": 0, "probability": \([^}]*\)}.*/\1/'
}
one=$(probability -c $best) two=$(probability -c runs/one/best.h5) both=$(probability -c $best -c runs/one/best.h5)
[ -n "$one" ] || fail "no probability"
awk -v a="$one" -v b="$two" -v c="$both" 'BEGIN { d = (a + b) / 2 - c; exit !(a != b && d * d < 1e-14) }' || fail "mean: $one $two $both"
expect 2 "tells 3 classes apart, '$best' 5" "$thaw" predict -c $best -c runs/three/best.h5 "$some"
# a picture, and the same one mirrored, as its orientation in EXIF says
cp "$golden/pictures/exif_1.jpg" straight.jpg
cp straight.jpg mirrored.jpg
printf '\002' | dd of=mirrored.jpg bs=1 seek=48 conv=notrunc 2>/dev/null
of() { # PICTURE OPTIONS...: the probability of the first class, of even margins
    "$thaw" predict -c $best "$@" --resize 38 --crop 32 --top 10 --json | sed 's/.*"label": 0, "probability": \([^}]*\)}.*/\1/'
}
awk -v a="$(of straight.jpg)" -v b="$(of mirrored.jpg)" -v c="$(of straight.jpg --tta flip)" \
    'BEGIN { d = (a + b) / 2 - c; exit !(a != b && c > 0 && d * d < 1e-14) }' ||
    fail "mirrored: $(of straight.jpg) $(of mirrored.jpg) $(of straight.jpg --tta flip)"

for class in 0 1 2 3 4; do echo "class $class"; done >names
expect 0 "class " "$thaw" predict -c $best --classes names "$some"

# what a file does not say is as torchvision has it
expect 0 "" "$thaw" train job.yaml --set name=big --set model.arch=resnet18 --set 'phases=[{epochs: 1, train: [fc]}]'
expect 0 "" "$thaw" weights convert runs/big/best.h5 big.safetensors
LC_ALL=C sed 's/thaw\.arch/else.arch/' big.safetensors >unsaid.safetensors
expect 0 '"label": ' "$thaw" predict -c big.safetensors --resize 256 --crop 224 --classes names --json "$some"
mv said want
expect 0 "" "$thaw" predict -c unsaid.safetensors --classes names --json "$some"
cmp -s said want || fail "not resized to 256 and cropped to 224: $(cat said want)"
expect 0 "torchvision's first ones saw pictures of 256 pixels cropped to 224, the shards have 36 and data.crop is 32" "$thaw" plan \
    job.yaml --no-time --set model.arch=resnet18 --set model.weights=unsaid.safetensors

# more than a network of thaw's is none; nor is one that says nothing
expect 0 "" "$thaw" train job.yaml --set name=deep --set model.arch=resnet32 --set 'phases=[{epochs: 1, train: [fc]}]'
expect 0 "" "$thaw" weights convert runs/deep/best.h5 deep.safetensors --rename layer1.4.=attention.
expect 2 "'deep.safetensors' is more than a resnet20: 'attention.bn1.bias' is left over; " "$thaw" predict -c deep.safetensors "$some"
"$helpers/poison" $best nan.h5 model/fc.bias || fail poison
expect 1 "'nan.h5': 'fc.bias' has a number in it that is not finite" "$thaw" predict -c nan.h5 "$some"
expect 0 "" "$thaw" weights convert nan.h5 nan.safetensors
expect 1 "'nan.safetensors': 'fc.bias' has a number in it that is not finite" "$thaw" train job.yaml --set name=nan \
    --set model.weights=nan.safetensors
expect 0 "" "$thaw" weights convert runs/small/last.h5 swapped.safetensors --rename bn1.running_mean=x --rename bn1.running_var=bn1.running_mean \
    --rename x=bn1.running_var
expect 1 "in it, and is a variance" "$thaw" eval job.yaml -c swapped.safetensors

# folders within folders, but no circles; what is no picture is passed over, and so are carriage returns
mkdir -p tree/a/b
cp "$some" tree/a/b/
ln -s .. tree/a/up
ln -s ../.. tree/a/b/top
cp text tree/readme.txt
expect 0 "tree/a/b/$(basename "$some")  " "$thaw" predict -c $best tree/
grep -q "1 file in folders passed over: only JPEG, PNG and WebP are read" said || fail "what is no picture: $(cat said)"
[ "$(grep -c "^tree" said)" = 1 ] || fail "a circle: $(cat said)"
printf 'class %s\r\n' 0 1 2 3 4 >names
printf '%s\r\n' "$some" | "$thaw" predict -c $best --classes names - >said 2>&1 || fail "carriage returns: $(cat said)"
grep -q "  class [0-4] 0\." said || fail "carriage returns in names: $(cat -A said)"
printf '%s\0%s\0' "$some" "$some" >zeros
expect 2 "a zero byte in the list: one path stands on each line" "$thaw" predict -c $best - <zeros
expect 2 "--resize and --crop choose" "$thaw" predict -c $best -c runs/crop/best.h5 "$some"
expect 0 "" "$thaw" predict -c $best -c small.safetensors "$some"
# a file that says nothing of its network: names come from the next one, sizes have to be given
LC_ALL=C sed 's/thaw\.arch/some.arch/' small.safetensors >silent.safetensors
sizes="--resize 36 --crop 32"
# shellcheck disable=SC2086
expect 2 "in 'runs/others/best.h5', and 'disc' in 'small.safetensors'" "$thaw" predict $sizes -c silent.safetensors \
    -c small.safetensors -c $best -c runs/others/best.h5 "$some"
for size in "" "--resize 36" "--crop 32"; do
    # shellcheck disable=SC2086
    expect 2 "'silent.safetensors' does not say for pictures of which size it was trained" "$thaw" predict $size -c silent.safetensors "$some"
done

# a picture that cannot be read does not stop the others, and keeps its place
cp text pictures/val/broken.jpg
cp text tree/a/broken.JPG
ln -s nowhere tree/a/gone
expect 1 "2 of 3 pictures cannot be read" "$thaw" predict -c $best tree
printf '%s\n' "$some" pictures/val/broken.jpg /none "$some" >list
"$thaw" predict -c $best --json - <list >lines 2>said
[ $? = 1 ] || fail "exit code with broken pictures"
grep -q "2 of 4 pictures cannot be read" said || fail "no count: $(cat said)"
[ "$(grep -n '"error"' lines | cut -d: -f1 | tr '\n' ' ')" = "2 3 " ] || fail "order: $(cat lines)"
[ "$(sed -n 4p lines)" = "$(sed -n 1p lines)" ] || fail "of one picture something else behind a broken one: $(cat lines)"
grep -q "'pictures/val/broken.jpg'" said || fail "the broken picture is not named: $(cat said)"

finish
