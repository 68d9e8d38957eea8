#!/usr/bin/env bash
# manual_test.sh THAW: the manual page, made of the program's tables: whole, without a fault that groff finds, installed.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"
command -v groff >/dev/null || exit 77

expect 0 "" "$thaw" help thaw.1
cp said thaw.1
groff -man -Tascii -rHY=0 -rLL=100n -ww -z thaw.1 >faults 2>&1
[ ! -s faults ] || fail "groff warns: $(cat faults)"
groff -man -Tascii -P-cbou -rHY=0 -rLL=500n thaw.1 >page || fail "no page"

# its sections, in man-pages(7)'s order
[ "$(sed -n 's/^\.SH //p' thaw.1 | tr '\n' ,)" = "NAME,SYNOPSIS,DESCRIPTION,COMMANDS,JOB FILES,HELP,EXIT STATUS,ENVIRONMENT,SEE ALSO," ] ||
    fail "sections: $(grep '^\.SH' thaw.1)"
grep -q "^ *thaw - train image classifiers" page || fail "NAME is not what whatis(1) reads: $(head -n 6 page)"

# every line of a command's --help stands in it, words in their order: options, paragraphs and examples
words() { tr -s ' \n' ' ' | sed 's/ $//'; }
page=$(words <page)
commands=$("$thaw" --help | sed -n 's/^  thaw \([a-z][a-z-]*\) .*/\1/p' | grep -vx help)
[ "$(wc -w <<<"$commands")" -ge 6 ] || fail "only these commands: $commands"
[ "$(sed -n 's/^\.SS thaw //p' thaw.1 | sed 's/\\-/-/g')" = "$commands" ] || fail "parts: $(grep '^\.SS' thaw.1)"
for command in $commands; do
    "$thaw" "$command" --help >help || fail "$command --help"
    while IFS= read -r line; do
        case $line in
        "" | options:) continue ;;
        esac
        line=$(sed 's/^usage: //' <<<"$line" | words)
        [[ $page == *"${line# }"* ]] || fail "$command: the page lacks '$line'"
    done <help
done

# every exit code that base/status.h gives, and every variable of thaw's own that the sources read
while read -r code meaning; do
    grep -qE "^ +$code +$meaning\$" page || fail "exit code $code, '$meaning' is missing"
done < <(sed -n 's/^\tX([A-Z_]*, *\([0-9]*\), "\(.*\)").*/\1 \2/p' "$source/base/status.h")
[ "$(sed -n '/EXIT STATUS/,/ENVIRONMENT/p' page | grep -cE '^ +[0-9]+ ')" -ge 6 ] || fail "exit codes are missing"
for variable in $(grep -rhoE --include='*.c' 'getenv\("THAW_[A-Z_]*' "$source"/{base,io,nn,comm,jobs,tools,runner} | cut -d '"' -f 2); do
    sed -n '/^ENVIRONMENT/,$p' page | grep -qE "^ +$variable( |\$)" || fail "variable $variable is missing"
done

# installed, with the completion beside it
build=$(dirname "$thaw")
expect 0 "" cmake --install "$build" --prefix "$work/root"
cmp -s thaw.1 root/share/man/man1/thaw.1 || fail "the installed page is not the program's: $(find root)"
cmp -s "$source/tools/completion.bash" root/share/bash-completion/completions/thaw || fail "no completion"
[ -x root/bin/thaw ] || fail "no program"

# what is installed is all made with the target `thaw`, which is what tools/quickstart.sh builds
if [ -e "$build/build.ninja" ]; then
    ninja -C "$build" -t commands thaw >made || fail "no commands"
    grep -qE 'thaw help thaw\.1 > .*/thaw\.1( |$)' made || fail "the manual is no part of target thaw: $(tail -n 1 made)"
    expect 0 "" ninja -C "$build" -n thaw
fi
finish
