#!/usr/bin/env bash
# deps.sh [--check]: installs what building and testing thaw needs and this Debian (12 or later) lacks.
#
# Names each package. Does nothing, and needs no network, when all is there. --check only names what is missing (exit
# code 1).
set -eu

packages=(
    gcc g++ libc6-dev cmake ninja-build pkg-config
    libopenmpi-dev openmpi-bin # processes and what they exchange
    libdnnl-dev                # mathematics
    libhdf5-dev                # shards and checkpoints
    libyaml-dev                # job files
    libjpeg-dev libpng-dev libwebp-dev
    libjansson-dev libminizip-dev libdeflate-dev # weights of others
    strace procps              # tests: kills at chosen moments
)

case "${1-}" in
"" | --check) ;;
*)
    echo "usage: tools/deps.sh [--check]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system; what these packages hold is needed: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing packages: ${missing[*]}"
[ "${1-}" != --check ] || exit 1

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps.sh: as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
