# Completion of thaw's command line in bash. What there is to complete is read from the program that is being typed:
# commands and topics from `thaw --help`, options and the kinds of arguments from `thaw COMMAND --help`, keys of a job
# and their values from `thaw help job`. An argument that is called WORD.yaml is completed with such files, FOLDER and
# RUN with folders, KEY=VALUE with keys, NAME with the words that begin lines of its option's help.
#
# Behind mpirun, mpiexec and srun the same holds from the word `thaw` on; before it, files are offered as ever. Where one
# of them has a completion of its own, that stays.
#
# Installed as share/bash-completion/completions/thaw, which bash reads when thaw is completed first; for launchers from
# the start, and to try it: . tools/completion.bash

# The words of the command line up to the cursor. Bash cuts them at '=' too: "--set", "device", "=", "c".
_thaw_words() {
    local word i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $word == =* || ${COMP_WORDS[i - 1]} == *= ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
}

# "--out FOLDER", "-o FOLDER", "--strict": the options of a command, each with its argument.
_thaw_options() {
    local line option='^  (-(.),|   ) --([a-z0-9-]+)( ([^ ]+))?( |$)'
    while IFS= read -r line; do
        [[ $line =~ $option ]] || continue
        echo "--${BASH_REMATCH[3]} ${BASH_REMATCH[5]}"
        [ -z "${BASH_REMATCH[2]}" ] || echo "-${BASH_REMATCH[2]} ${BASH_REMATCH[5]}"
    done < <("$program" "$1" --help 2>/dev/null)
}

# What a command takes besides options, "JOB.yaml": from the line of its usage that has one of the options given, else
# from the first one.
_thaw_positional() {
    local line usage="thaw $1( (--[a-z-]+))? ([A-Z][A-Za-z0-9.]*)" first=
    while IFS= read -r line && [ -n "$line" ]; do
        [[ $line =~ $usage ]] || continue
        [[ ${BASH_REMATCH[2]} && " ${words[*]} " == *" ${BASH_REMATCH[2]} "* ]] && first=
        [ -n "$first" ] || first=${BASH_REMATCH[3]}
    done < <("$program" "$1" --help 2>/dev/null)
    echo "$first"
}

# "optimizer.lr=", or after "=" the words that the key may have.
_thaw_keys() {
    local line key= found='^  ([a-z][a-z0-9_.]*)  ' allowed='^ +([a-z0-9_]+(, [a-z0-9_]+)*)$'
    while IFS= read -r line; do
        if [[ $line =~ $found ]]; then
            key=${BASH_REMATCH[1]}
            [[ $1 == *=* || $key == phases.* ]] || echo "$key="
        elif [[ $1 == "$key="* && $line =~ $allowed ]]; then
            echo "${BASH_REMATCH[1]//, /$'\n'}"
        fi
    done < <("$program" help job 2>/dev/null)
}

# "table", "json": of the lines "      --format NAME   table: a row for each epoch", "                      json: ..."
_thaw_choices() {
    local line of= option='^  (-.,|   ) --([a-z0-9-]+)' word='^ +(--[a-z0-9-]+ NAME +)?([a-z0-9_]+): '
    while IFS= read -r line; do
        [[ ! $line =~ $option ]] || of=--${BASH_REMATCH[2]}
        [[ $of != "$before" || ! $line =~ $word ]] || echo "${BASH_REMATCH[2]}"
    done < <("$program" "$1" --help 2>/dev/null)
}

# Completes `current` as an argument of this kind: "FOLDER", "FILE.h5..."; others are not known here.
_thaw_argument() {
    local kind=${1%...}
    case $kind in
    KEY=VALUE)
        mapfile -t COMPREPLY < <(compgen -W "$(_thaw_keys "$current")" -- "${current#*=}")
        [[ $current == *=* ]] || compopt -o nospace 2>/dev/null
        ;;
    *.*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -X "!*.${kind#*.}" -- "$current"; compgen -d -- "$current")
        ;;
    NAME)
        mapfile -t COMPREPLY < <(compgen -W "$(_thaw_choices "${words[1]}")" -- "$current")
        ;;
    FOLDER | RUN)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        ;;
    esac
}

# Commands, or after `thaw help` what there is help on.
_thaw_names() {
    local line command='^  thaw ([a-z][a-z-]*) ' topic='^  thaw help ([^ ]+) '
    while IFS= read -r line; do
        if [[ ${1-} == help && $line =~ $topic ]]; then
            echo "${BASH_REMATCH[1]}"
        elif [[ $line =~ $command ]]; then
            echo "${BASH_REMATCH[1]}"
        fi
    done < <("$program" --help 2>/dev/null)
}

_thaw() {
    local program=${COMP_WORDS[0]/#\~/$HOME} words current before option argument
    COMPREPLY=()
    _thaw_words
    current=${words[-1]}
    case ${#words[@]} in
    2) mapfile -t COMPREPLY < <(compgen -W "$(_thaw_names | sort -u) --help --version" -- "$current") && return ;;
    3) [[ ${words[1]} != help ]] || { mapfile -t COMPREPLY < <(compgen -W "$(_thaw_names help)" -- "$current") && return; } ;;
    esac
    before=${words[-2]}
    if [[ $current == --*=* ]]; then # --out=x is --out x
        before=${current%%=*}
        current=${current#*=}
    fi
    while read -r option argument; do
        if [[ $option == "$before" && $argument ]]; then
            _thaw_argument "$argument"
            return
        fi
    done < <(_thaw_options "${words[1]}")
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_thaw_options "${words[1]}" | cut -d ' ' -f 1)" -- "$current")
    else
        _thaw_argument "$(_thaw_positional "${words[1]}")"
    fi
}

# What a launcher starts: completed as if it stood alone.
_thaw_launched() {
    local i all=("${COMP_WORDS[@]}") at=$COMP_CWORD
    COMPREPLY=()
    for ((i = 1; i < at; i++)); do
        [ "${all[i]##*/}" = thaw ] || continue
        compopt +o default +o bashdefault 2>/dev/null
        local COMP_WORDS COMP_CWORD=$((at - i))
        COMP_WORDS=("${all[@]:i}")
        _thaw
        return
    done
}

complete -F _thaw thaw
for _thaw_launcher in mpirun mpiexec srun; do
    complete -p $_thaw_launcher >/dev/null 2>&1 || complete -o default -o bashdefault -F _thaw_launched $_thaw_launcher
done
unset _thaw_launcher
