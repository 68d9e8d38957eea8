#!/usr/bin/env bash
# quickstart.sh [PHOTOS]: from a fresh clone to a trained classifier, in a new folder below quickstart/.
#
# Installs what is missing, builds thaw, and trains a small network in two processes with progressive unfreezing: on
# pictures that thaw draws, or on PHOTOS, a folder of class folders (or of train/ and val/ with class folders each).
set -eu

if [ $# -gt 1 ] || { [ $# = 1 ] && [ ! -d "$1" ]; }; then
    echo "usage: tools/quickstart.sh [FOLDER OF CLASS FOLDERS]" >&2
    exit 2
fi
photos=${1:+$(realpath "$1")}
if [ -n "$photos" ] && [ -d "$photos/train" ] && [ ! -d "$photos/val" ] && [ ! -d "$photos/valid" ]; then
    printf "'%s' has no 'val' folder beside 'train': to draw one from the training pictures, use\n  %q %q\n" \
        "$photos" "$0" "$photos/train" >&2
    exit 2
fi
cd "$(dirname "$0")/.."

build() {
    cmake --preset release -DTHAW_WERROR=OFF && cmake --build --preset release --target thaw
}

# Shows a command as it would be typed, and runs it.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

tools/deps.sh
. tools/mpi-env.sh
mkdir -p build quickstart
echo "building, build/quickstart.log has the details"
build >build/quickstart.log 2>&1 || { tail -n 40 build/quickstart.log >&2; exit 1; }

export PATH=$PWD/build/release:$PATH
root=$PWD
work=$(mktemp -d "$root/quickstart/$(date +%F)-XXXX")
trap 'cd "$root" && rmdir --ignore-fail-on-non-empty "$work"' EXIT # a failure at the very beginning leaves nothing
chmod 755 "$work"
cd "$work"
job=../../examples/demo.yaml
if [ -z "$photos" ]; then
    name=demo
    run thaw demo pictures --train 240 --val 60
    run thaw pack pictures -o data --resize 40
    run mpirun -n 2 thaw train $job
    next="mpirun -n 2 thaw train $job --set name=at-once --set 'phases=[{epochs: 16, train: all}]'"
else
    name=photos
    split=()
    [ -d "$photos/train" ] || split=(--val-fraction 0.2)
    run thaw pack "$photos" -o data --resize 72 "${split[@]}"
    run mpirun -n 2 thaw train $job --set name=photos --set data.crop=64
    next="thaw pack $(printf %q "$photos") -o large${split[*]:+ ${split[*]}} &&
  mpirun -n 2 thaw train ../../examples/photos.yaml"
fi

cat <<EOF

All of it lies in $work. What to try there:

  cd $(printf %q "$work") && . ../../tools/mpi-env.sh && PATH=$(printf %q "$root")/build/release:\$PATH

  mpirun -n 2 thaw eval runs/$name/job.yaml --checkpoint runs/$name/best.h5
  thaw show runs/$name/best.h5
  $next
EOF
