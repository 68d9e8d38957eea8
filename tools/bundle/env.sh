# shellcheck shell=sh
# Sourced: puts the programs of this folder on the path, and lets Open MPI start ranks as root and on all cores.
# In other shells than bash: cd to this folder first.
# shellcheck disable=SC3028
root=$(cd "$(dirname "${BASH_SOURCE:-./env.sh}")" && pwd)
export PATH="$root/bin:$PATH"
. "$root/tools/mpi-env.sh"
unset root
