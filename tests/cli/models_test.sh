#!/usr/bin/env bash
# models_test.sh THAW: the table of architectures has torchvision's figures, and the advice suits the pictures.
. "$(dirname "$0")/lib.sh" "$@"

# torchvision.models.ResNet*_Weights.IMAGENET1K_V1.meta: num_params, _ops (in 10^9)
"$thaw" models >table 2>&1 || fail "models: $(cat table)"
while read -r arch parameters operations file; do
    grep -qE "^$arch +$parameters +$operations +[0-9]+ MiB  $file$" table || fail "$arch: $(grep "^$arch " table)"
done <<END
resnet18 11,689,512 1.81 resnet18-f37072fd.pth
resnet34 21,797,672 3.66 resnet34-b627a593.pth
resnet50 25,557,032 4.09 resnet50-0676ba61.pth
resnet101 44,549,160 7.80 resnet101-63fe2227.pth
resnet152 60,192,808 11.51 resnet152-394f9c45.pth
END
# He et al. 2015, table 6: 0.27 million parameters with 10 classes; 64,350 more with 1000; 41 million operations at 32 pixels
"$thaw" models --crop 32 >table 2>&1
grep -qE "^resnet20 +334,072 +0.04 " table || fail "resnet20: $(grep "^resnet20 " table)"

"$thaw" models --json >json || fail "--json"
grep -qF '{"arch": "resnet18", "parameters": 11689512, "multiply_adds": 1814073344, ' json || fail "json: $(cat json)"

# less memory for a smaller batch
memory() { "$thaw" models --batch "$1" | sed -n 's/^resnet18 .* \([0-9]*\) MiB .*/\1/p'; }
[ "$(memory 4)" -lt "$(memory 32)" ] || fail "memory: $(memory 4) with 4 pictures, $(memory 32) with 32"

"$thaw" demo pictures --train 3 --val 2 --size 130 >/dev/null || fail demo
"$thaw" pack pictures -o small --resize 36 >/dev/null 2>&1 || fail pack
"$thaw" pack pictures -o large --resize 128 >/dev/null 2>&1 || fail pack
expect 0 "for 'small/train-*.h5'  resnet20: pictures of 36 pixels are small" "$thaw" models 'small/train-*.h5'
expect 0 "resnet18: most of 5 classes have fewer than 1000 pictures; with pre-trained weights: feature extraction" \
    "$thaw" models 'large/train-*.h5'
expect 2 "no shard matches 'none/*.h5'" "$thaw" models 'none/*.h5'
expect 2 "put it in quotes" "$thaw" models small/*.h5
expect 2 "--json is without advice" "$thaw" models --json 'small/train-*.h5'
expect 2 "--batch 0: allowed are 1 to 4096" "$thaw" models --batch 0

finish
