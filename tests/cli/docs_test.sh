#!/usr/bin/env bash
# docs_test.sh THAW: what README.md, CONTRIBUTING.md and docs/ say of the program is so: the page of keys is the program's, keys,
# options and commands exist, links lead somewhere. That the job files in them run is in examples_test.sh.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"

expect 0 "" "$thaw" help job.md
cp said job.md
cmp -s job.md "$source/docs/job.md" ||
    fail "docs/job.md is not what the program says; build/release/thaw help job.md >docs/job.md writes it anew:" \
        "$(diff "$source/docs/job.md" job.md | head -n 20)"

# The page has every key, and as many marks as the schema has rows of its kind.
"$thaw" help job | sed -n 's/^  \([a-z][a-z0-9_.]*\)  .*/\1/p' >keys
[ "$(wc -l <keys)" -ge 60 ] || fail "only these keys: $(cat keys)"
for key in $(cat keys); do
    [ "$(grep -c "^| \`$key\` |" job.md)" = 1 ] || fail "'$key' is not in one row of docs/job.md"
done
row() { # KEY DEFAULT ALLOWED MEANING MAY-DIFFER, each a pattern
    grep -q "^| \`$1\` | $2 | $3 | $4 |${5+ $5 |}\$" job.md || fail "the row of $1 is another: $(grep "^| .$1. " job.md)"
}
row model.arch needed '.*' '.*' ''
row data.train needed '.*' 'shards to train on: data/train-\\\*.h5' ''
row batch '`32`' 'whole numbers, 1 to 1048576' 'pictures per step, over all ranks' 'in phases'
row optimizer.lr '`0.001`' 'numbers, 0 to 1000' 'base learning rate' 'in phases, as `phases.lr`'
row device '`auto`' '`auto`, `cuda`, `cpu`, `reference`' '.*' ''
row timeout '`600`' 'whole numbers, 0 to 1000000 seconds' '.*' 'on going on'
row augment.rotation '`0`' 'numbers, 0 to 180 degrees' '.*' 'in phases'
row schedule.warmup_start '`0.01`' 'numbers, above 0, up to 1' '.*' 'in phases'
row phases.lr '`optimizer.lr`' 'numbers, 0 to 1000' '.*'
row name "the job file's name" '.*' '.*' ''

pages=("$source"/README.md "$source"/CONTRIBUTING.md "$source"/docs/*.md)

# keys: `optimizer.lr` and optimizer.lr=..., where optimizer is a section
sections=$(grep -F . keys | cut -d. -f1 | sort -u | paste -sd '|')
for page in "${pages[@]}"; do
    for key in $(grep -oE "(\`|--set '?)($sections)\.[a-z0-9_]+[\`=:]" "$page" | grep -oE "($sections)\.[a-z0-9_]+"); do
        grep -qx "$key" keys || [ "${key##*.}" = h ] || [ "${key##*.}" = c ] || fail "$page: there is no key '$key'"
    done
done

# commands and their options: "thaw pack ... --resize 36"; the rest of the line is the command's unless another begins there
commands=$("$thaw" --help | sed -n 's/^  thaw \([a-z][a-z-]*\) .*/\1/p' | sort -u)
for page in "${pages[@]}" "$source"/examples/*.yaml; do
    while read -r command rest; do
        grep -qx -- "$command" <<<"$commands" || { fail "$page: there is no command 'thaw $command'"; continue; }
        rest=${rest%%[\`|#]*}
        for option in $(grep -oE -- '--[a-z][a-z-]*' <<<"${rest%% thaw *}"); do
            [ "$command" = help ] || "$thaw" "$command" --help | grep -q -- "$option\b" ||
                fail "$page: thaw $command has no $option"
        done
    done < <(grep -oE '(`|^ +|^#   |^\| `|n [0-9N] )thaw [a-z][a-z-]+ .*|`thaw [a-z-]+`' "$page" | sed 's/.*thaw \([a-z-]*\)`\?/\1/; s/^\([a-z-]*\)`.*/\1/')
done

# exit codes of the table in docs/architecture.md: those of base/status.h
[ "$(sed -n 's/^| \([0-9]*\) | .*/\1/p' "$source/docs/architecture.md" | sort -n | tr '\n' ' ')" = \
    "$(sed -n 's/^\tX([A-Z_]*, *\([0-9]*\), .*/\1/p' "$source/base/status.h" | sort -n | tr '\n' ' ')" ] ||
    fail "docs/architecture.md has other exit codes"

# links
for page in "${pages[@]}"; do
    for link in $(grep -oE '\]\([^)]+\)' "$page" | sed 's/^](//; s/[)#].*//'); do
        case $link in
        http*) ;;
        *) [ -e "$(dirname "$page")/$link" ] || fail "$page: '$link' leads nowhere" ;;
        esac
    done
done
finish
