#!/bin/sh
# abort_test.sh CODE RANKS COMMAND...: the command ends within 10 s with this exit code, and its ranks are gone with it.

want=$1
ranks=$2
shift 2

said=$(mktemp)
timeout 10 "$@" >"$said" 2>&1
code=$?
output=$(tr -d '\000' <"$said") # Open MPI 5.0 adds zero bytes when it takes ranks down
rm "$said"
if [ "$code" -ne "$want" ]; then
    echo "exit code $code, want $want: $output"
    exit 1
fi

pids=$(echo "$output" | sed -n 's/^pid //p')
if [ "$(echo "$pids" | wc -w)" -ne "$ranks" ]; then
    echo "ranks that spoke: $pids, want $ranks"
    exit 1
fi

# mpirun may return while the kernel still takes its ranks apart; a zombie is gone.
for pid in $pids; do
    tries=50
    while grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            echo "the rank with process $pid lives on"
            exit 1
        fi
        sleep 0.1
    done
done
echo passed
