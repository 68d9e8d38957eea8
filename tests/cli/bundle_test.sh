#!/usr/bin/env bash
# bundle_test.sh THAW: what tools/bundle.sh makes runs from a folder of another name with an empty environment, and in a root
# that holds nothing else than a shell and the C library (which needs the right to make one). The same build gives the
# same bytes.
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib.sh" "$@"
bundle=(nice "$source/tools/bundle.sh" --build "$(dirname "$thaw")")

expect 2 "unknown option '--cuda'" "$source/tools/bundle.sh" --cuda
expect 2 "--build needs a value" "$source/tools/bundle.sh" --build
expect 2 "there is no './thaw'" "$source/tools/bundle.sh" --build .
expect 0 "--with-cuda" "$source/tools/bundle.sh" --help

expect 0 "needs   glibc 2." "${bundle[@]}" a.tar.gz
"${bundle[@]}" b.tar.gz >/dev/null 2>&1 &
again=$!
mkdir -p root/opt && tar xzf a.tar.gz -C root/opt && mv root/opt/thaw-* "root/opt/another name" || fail "not unpacked"
top="$work/root/opt/another name"
[ -x "$top/bin/thaw" ] || fail "no bin/thaw: $(find root -maxdepth 4)"
[ -z "$(find "$top" -name 'libc.so*' -o -name 'libcuda.so*' -o -name 'libcudart*')" ] ||
    fail "holds what belongs to the machine: $(ls "$top/lib")"

# What `thaw` and, where it came along, `mpirun` do from there. $1: the bundle; it runs in an empty folder that can be written.
cat >try.sh <<'END_OF_TRY'
set -eu
"$1/bin/thaw" --version
"$1/bin/thaw" demo pictures --train 8 --val 4 --size 40
"$1/bin/thaw" pack pictures -o data --resize 36
echo "{model: {arch: resnet20}, data: {train: data/train-*.h5, val: data/val-*.h5, crop: 32}, batch: 8, threads: 1}" >job.yaml
if [ -e "$1/bin/mpirun" ]; then set -- "$1" "$1/bin/mpirun" -n 2; fi # Open MPI 4's
top=$1
shift
"$@" "$top/bin/thaw" train job.yaml --steps 2
END_OF_TRY
mpi=(OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1)

ranks="2 ranks"
if [ ! -e "$top/bin/mpirun" ]; then
    echo "without mpirun: only that of Open MPI 4 comes along"
    ranks="1 rank"
fi

# tried COMMAND...: it says what four commands that succeed say
tried() {
    expect 0 "peak memory" "$@"
    grep -q "^thaw [0-9.]*  measuring  $ranks" said || fail "$*: not $ranks: $(cat said)"
}

mkdir here
tried env -i -C here HOME="$work/none" "${mpi[@]}" /bin/sh ../try.sh "$top"

# libraries come from the bundle, as far as they are not the machine's
LD_LIBRARY_PATH=$top/lib ldd "$top/libexec/thaw" | sed -n 's/^\t\(.*\) => \(.*\) (.*/\1 \2/p' >needed
grep -q "^libhdf5.* $top/lib/" needed || fail "no libhdf5 of its own: $(cat needed)"
outside=$(grep -v " $top/lib/" needed | grep -vE '^lib(c|m|pthread|dl|rt|resolv)\.so')
[ -z "$outside" ] || fail "from outside: $outside"

# The module of the GPU backend, if there is one, and its tests load: what is missing is a GPU, unless there is one.
if [ -e "$top/libexec/thaw-cuda.so" ]; then
    LD_LIBRARY_PATH=$top/lib ldd "$top/libexec/thaw-cuda.so" | awk '$3 == "not" {print $1}' >needed
    grep -vxF -f "$top/lib/cuda-libraries" needed >absent && fail "thaw-cuda.so lacks $(cat absent)"
fi
if [ -e "$top/bin/update_test_cuda" ]; then
    env -i "$top/bin/update_test_cuda" >said 2>&1
    case $? in
    0 | 77) ;;
    *) fail "update_test_cuda: $(cat said)" ;;
    esac
fi

# through a link, and with the folder's programs on the path
ln -s "$top/bin/thaw" linked
expect 0 "thaw 0." env -i ./linked --version
expect 0 "$top/bin/thaw" bash -c '. "$1/env.sh" && command -v thaw' - "$top"

# --- nothing but the bundle, a shell and the C library -------------------------------------------------------------------

cp try.sh root/
mkdir -p root/{bin,dev,proc,tmp,work,lib64,lib}
cp /bin/sh root/bin/sh
cp -L /lib64/ld-linux-x86-64.so.2 root/lib64/ 2>/dev/null
libc=$(dirname "$(ldd /bin/sh | sed -n 's/.*libc\.so\.6 => \([^ ]*\).*/\1/p')")
for library in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libresolv.so.2 libutil.so.1; do
    cp -L "$libc/$library" root/lib/ || fail "no $library"
done
cat >enter.sh <<END_OF_ENTER
set -e
mount -t proc proc root/proc
for file in null zero urandom; do : >root/dev/\$file; mount --bind /dev/\$file root/dev/\$file; done
exec env -i LD_LIBRARY_PATH=/lib HOME=/work "\$@" $(command -v chroot) root /bin/sh -c \
    'cd /work && exec /bin/sh /try.sh "/opt/another name"'
END_OF_ENTER
if [ "$(id -u)" = 0 ] && unshare --mount --pid --fork true 2>/dev/null; then
    tried unshare --mount --pid --fork sh enter.sh "${mpi[@]}"
else
    echo "without the part in a root of its own: no right to make one"
fi

wait $again || fail "a second bundle was not made"
cmp -s a.tar.gz b.tar.gz || fail "the same build gave other bytes"
finish
