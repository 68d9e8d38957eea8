#!/usr/bin/env bash
# report_test.sh THAW: pages on whole runs, on runs under way, and on names that would break a page.
. "$(dirname "$0")/lib.sh" "$@"

small_job 1 1 1
expect 0 "best" "$thaw" train job.yaml

# page WORDS...: report.html holds each of these.
page() {
    local words
    for words in "$@"; do
        grep -qF -- "$words" report.html || fail "the page does not say '$words'"
    done
}

# what the run itself left suits the report
expect 0 "wrote 'report.html': 1 run" "$thaw" report runs/small
expect 0 "wrote 'report.html': 1 run" "$thaw" report runs/small # again
cp job.yaml kept.yaml
expect 2 "--out: 'kept.yaml' is there already and is no HTML page" "$thaw" report runs/small -o kept.yaml
cmp -s job.yaml kept.yaml || fail "a report was written over a job file"
mkfifo pipe # as a device would be; a device of the system must not hang on this test
expect 2 "--out: 'pipe' is there already" "$thaw" report runs/small -o pipe
[ -p pipe ] || fail "a report took the place of a pipe"
! grep -q warning said || fail "a warning: $(cat said)"
page "Confusion matrix" "balanced accuracy"
rm runs/small/predictions.csv

# --- without predictions ---------------------------------------------------------------------------------------------

expect 0 "no confusion matrix: cannot open 'runs/small/predictions.csv'" "$thaw" report runs/small
correct=$(awk -F, 'NR > 1 && $12 > best { best = $12 } END { print best }' runs/small/metrics.csv)
page "<h1>small</h1>" "($correct/35, 95% " "3 of 3 epochs" ">layer3 fc</text>" "arch: resnet20" "no confusion matrix"
[ "$(grep -c '<svg ' report.html)" = 3 ] || fail "not three plots"
[ "$(grep -cE '<tr class="(best)?( phase)?">' report.html)" = 3 ] || fail "not a row for each epoch"

# --- with predictions ------------------------------------------------------------------------------------------------

# the right ones first; every other one is taken for the next class, the last row with the largest loss
"$thaw" show data/val-*.h5 --names | awk -v right="$correct" '
    BEGIN { print "index,name,label,predicted,probability,loss"; n = 0 }
    NF == 5 && $3 == "x" {
        label = $5
        sub("/.*", "", label)
        name[n] = $5
        of[n++] = label
    }
    END {
        for (i = 0; i < n; i++) {
            other = of[i] == of[0] ? of[n - 1] : of[0]
            printf "%d,%s,%s,%s,%.2f,%d\n", i, name[i], of[i], i < right ? of[i] : other, i / n, i + 1
        }
    }' >runs/small/predictions.csv
[ "$(wc -l <runs/small/predictions.csv)" = 36 ] || fail "no predictions: $(cat runs/small/predictions.csv)"
expect 0 "wrote 'page.html': 1 run" "$thaw" report runs/small -o page.html
! grep -q warning said || fail "a warning: $(cat said)"
mv page.html report.html
shown=$((35 - correct < 24 ? 35 - correct : 24))
page "Confusion matrix" "balanced accuracy" "$shown of $((35 - correct)), largest loss first"
[ "$(grep -c '<figure><img width="[0-9]*" height="[0-9]*" alt="" src="data:image/jpeg;base64,/9j/' report.html)" = \
    $shown ] || fail "not a picture of each mistake"
grep -m 1 -A 1 '<figure>' report.html | grep -qF "$(tail -n 1 runs/small/predictions.csv | cut -d, -f2)" ||
    fail "the largest loss is not the first mistake"

# nothing from elsewhere, nothing that runs
! grep -qiE 'https?:|<script|<link|@import|url\(|javascript:' report.html || fail "the page asks for something"

# another epoch's predictions, other shards
sed '2s/,\([a-z]*\),\([a-z]*\),\([0-9.]*\),1$/,\1,other,\3,1/' runs/small/predictions.csv >changed
cp changed runs/small/predictions.csv
expect 0 "belongs to another epoch" "$thaw" report runs/small
sed -i '2s/,[^,]*,/,other.png,/' runs/small/predictions.csv
expect 0 "holds others than were predicted" "$thaw" report runs/small

# --- names that are more than names ----------------------------------------------------------------------------------

mkdir hostile
sed 's/^2,2,[^,]*,/2,2,<img src=x onerror=y>,/' runs/small/metrics.csv >hostile/metrics.csv
printf 'index,name,label,predicted,probability,loss\n%s\n' \
    '0,"</span><script>1</script>","<b>,""x""","& '"'"'y",0.5,1' >hostile/predictions.csv
expect 0 "no settings: " "$thaw" report hostile
page "&lt;/span&gt;&lt;script&gt;1&lt;/script&gt;" "&lt;b&gt;,&quot;x&quot;" "&amp; &#39;y" \
    "&lt;img src=x onerror=y&gt;"
! grep -qE '<script|<img|<b>,' report.html || fail "a name became a tag"

# --- under way, and several ------------------------------------------------------------------------------------------

mkdir -p begun half
sed 's/^name: .*/name: begun/' runs/small/job.yaml >begun/job.yaml
expect 0 "" "$thaw" report begun
page "no epoch yet" "0 of 3 epochs"
sed 's/^name: .*/name: half/; s/batch: 16/batch: 8/' runs/small/job.yaml >half/job.yaml
head -c $(($(wc -c <runs/small/metrics.csv) - 5)) runs/small/metrics.csv >half/metrics.csv # the third is being written
expect 0 "4 runs" "$thaw" report begun half runs/small hostile
page "<h1>4 runs</h1>" "2 of 3 epochs: " '<p class="verdict soft">under way or stopped, after 2 of 3 epochs; so far ' '<th class="text">batch</th>' '<a href="#run-3">small</a>' 'no epoch yet</td>' \
    '<section id="run-4">'
[ "$(sed -n '/<h1>4 runs/,/<.section>/p' report.html | grep -o '#run-[0-9]' | tail -n 1)" = "#run-1" ] ||
    fail "the run without an epoch is not last"
! grep -q '<th class="text">name' report.html || fail "names are compared as settings"

# --- refusals --------------------------------------------------------------------------------------------------------

expect 2 "run folders are needed" "$thaw" report
expect 2 "'data' is no run folder" "$thaw" report runs/small data -o none.html
sed -i 's/^2,/x,/' half/metrics.csv
expect 1 "'half/metrics.csv', line 3: epoch is 'x'" "$thaw" report half -o none.html
expect 1 "cannot create '/nowhere/" "$thaw" report begun -o /nowhere/none.html
[ ! -e none.html ] || fail "a page in spite of a failure"

finish
