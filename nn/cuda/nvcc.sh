#!/bin/sh
# nvcc.sh NOTES NVCC ARGUMENTS...: compiles; what ptxas says of each kernel goes to NOTES, and to standard error on failure.
notes=$1
shift
"$@" 2>"$notes" || { code=$?; cat "$notes" >&2; exit $code; }
