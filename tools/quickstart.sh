#!/usr/bin/env bash
# quickstart.sh [PHOTOS]: from a fresh clone to a trained classifier, in a new folder below quickstart/.
#
# Installs what is missing, builds thaw, and trains a small network with progressive unfreezing in two processes: on pictures
# that thaw draws, or on PHOTOS, a folder of class folders (or train/ and val/ with class folders each).
set -eu

if [ $# -gt 1 ] || { [ $# = 1 ] && [ ! -d "$1" ]; }; then
    echo "usage: tools/quickstart.sh [FOLDER OF CLASS FOLDERS]" >&2
    exit 2
fi
photos=${1:+$(realpath "$1")}
root=$(realpath "$(dirname "$0")/..")
thaw=$root/build/release/thaw

build() {
    cmake --preset release -DTHAW_WERROR=OFF >build/quickstart.log 2>&1 &&
        cmake --build --preset release --target thaw >>build/quickstart.log 2>&1
}

# A line as it would be typed, then what it does.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

cd "$root"
tools/deps.sh
mkdir -p build quickstart
echo "building (build/quickstart.log)"
build || { tail -n 30 build/quickstart.log >&2; exit 1; }

. tools/mpi-env.sh
export PATH=$root/build/release:$PATH
work=$(mktemp -d "quickstart/$(date +%Y-%m-%d)-XXXX")
cd "$work"

if [ -z "$photos" ]; then
    job=$root/examples/demo.yaml
    run thaw demo pictures --train 240 --val 60
    run thaw pack pictures -o data --resize 40
else
    job=$root/examples/photos.yaml
    split=()
    [ -d "$photos/train" ] || split=(--val-fraction 0.2)
    run thaw pack "$photos" -o data --resize 72 "${split[@]}"
fi
run mpirun -n 2 thaw train "$job"
