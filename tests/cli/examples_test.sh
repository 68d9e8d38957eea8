#!/usr/bin/env bash
# examples_test.sh THAW: every file of examples/ runs, on small drawn pictures, and trains as many parameters as it should.
# So do the job files that docs/ shows, and docs/fine-tuning.md has the same counts.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"

# two classes; photos.yaml looks for its pictures in large/
"$thaw" demo pictures --train 8 --val 4 --size 48 >/dev/null || fail demo
rm -r pictures/*/{disc,ring,square}
"$thaw" pack pictures -o data --resize 36 >/dev/null 2>&1 || fail pack
ln -s data large
small=(--set data.crop=32 --set threads=1 --set data.threads=1 --set checkpoint.every=1000)
export THAW_CONVOLUTION=direct # nothing is timed

# Parameters that train in each phase, with two classes. Of a ResNet-18: 9,536 in the stem, 147,968, 525,568, 2,099,712 and
# 8,393,728 in the stages (4,720,640 in the last block), 1,026 in the head. Of a ResNet-20: 464, 14,016, 51,072, 203,520, 130.
cat >table <<END
ants-vs-bees|1,026 8,394,754 11,177,538
demo|130 203,650 269,202
feature-extraction|1,026
full|11,177,538
gradual|11,177,538
last-block|4,721,666
last-stage|8,394,754
layer-wise|1,026 8,394,754 10,494,466 11,020,034 11,168,002 11,177,538
photos|11,177,538
progressive|1,026 8,394,754 11,177,538
END
for file in "$source"/examples/*; do
    name=$(basename "$file" .yaml)
    grep -q "^$name|" table || fail "$file is in no row of the table: nobody knows whether it runs"
done
while IFS='|' read -r name counts; do
    file=$source/examples/$name.yaml
    if grep -q '^phases:' "$file"; then # an epoch for each
        sed 's/{epochs: [0-9]*/{epochs: 1/; /^epochs:/d' "$file" >"$name.yaml"
        expect 0 "best " "$thaw" train "$name.yaml" "${small[@]}" --set name="$name"
    else
        expect 0 "best " "$thaw" train "$file" "${small[@]}" --set name="$name" --set epochs=1
    fi
    trains=$(sed -n 's/^phases  *//p' runs/"$name"/log.txt | grep -oE '[0-9,]+ \(' | tr -d '(\n' | sed 's/ *$//')
    [ "$trains" = "$counts" ] || fail "$name trains $trains parameters, and should $counts"
    for count in $counts; do
        [ "$name" = demo ] || grep -qw -- "$count" "$source/docs/fine-tuning.md" || fail "docs/fine-tuning.md lacks $count"
    done
    grep -q "^#.* thaw train examples/$name.yaml" "$file" || fail "$file does not say how it is run"
done <table

# --- job files that docs/ shows, whole or in part --------------------------------------------------------------------------

# Indented lines that begin with a key, in one file each.
mkdir shown
for page in job fine-tuning; do
    awk -v page="shown/$page" '
        /^    [a-z_]+:/ && !inside || /^    # / && !inside { file = sprintf("%s-%02d.yaml", page, ++n); inside = 1 }
        !/^    / { inside = 0 }
        inside { sub(/^    /, ""); print >file }' "$source/docs/$page.md"
done
for file in shown/*.yaml; do
    grep -q '^model:' "$file" || printf 'model: {arch: resnet18}\ndata: {train: data/train-*.h5, val: data/val-*.h5}\n' >>"$file"
    expect 0 "start to first step" "$thaw" train "$file" --steps 1 "${small[@]}"
done
[ "$(find shown -name '*.yaml' | wc -l)" -ge 8 ] || fail "only these were found: $(ls shown)"
finish
