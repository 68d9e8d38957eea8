#!/usr/bin/env bash
# bundle.sh [OPTIONS] [OUT.tar.gz]: thaw and all that it needs, to be unpacked and run where nothing can be installed.
#
#   --build FOLDER   of programs that are there; otherwise they are built, for any processor of --cpu, in build/bundle
#   --cpu NAME       the least processor that what is built may meet, as gcc -march knows it (x86-64-v3)
#   --with-cuda      CUDA's own libraries too, with what cuDNN loads as it runs; without, bin/thaw looks for them in
#                    $THAW_CUDA_PATH, in CUDA's usual folders and in those of a PyTorch beside `python3`
#   -h, --help
#
# OUT is thaw-VERSION-MACHINE.tar.gz if not said otherwise, and holds one folder of that name. In it bin/thaw and bin/mpirun
# run as they are, wherever the folder lies; `. env.sh` puts them on the path. Included are the tests of the GPU backend
# and their fixtures (tools/test-gpu.sh), tools/bench-gpu.sh and the examples. Left to the machine are the C library,
# the driver and, mostly, CUDA. The same build gives the same bytes.
set -eu -o pipefail
source=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
}

refuse() { # WORDS...: the command line cannot be used
    echo "bundle.sh: $*" >&2
    exit 2
}

build='' cpu=x86-64-v3 with_cuda='' out=''
while [ $# -gt 0 ]; do
    case $1 in
    --build | --cpu)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        if [ "$1" = --build ]; then build=$2; else cpu=$2; fi
        shift
        ;;
    --with-cuda) with_cuda=yes ;;
    -h | --help)
        usage
        exit
        ;;
    -*) refuse "unknown option '$1': there are --build, --cpu and --with-cuda" ;;
    *)
        [ -z "$out" ] || refuse "one file is made, not '$out' and '$1'"
        out=$1
        ;;
    esac
    shift
done

# Tests of the GPU backend and what measures: each is taken if it was built.
programs=(tests/cuda/{op_parity_test_cuda,op_golden_test_cuda,net_golden_test_cuda,update_test_cuda,nccl_open_test,device_json}
    tools/bench/bench_loader)

# The programs, for other machines than this one.
build_programs() {
    local targets=(thaw bench_loader) available
    cmake --preset release -S "$source" -B "$build" -DTHAW_NATIVE=OFF -DCMAKE_C_FLAGS="-march=$cpu" >&2
    available=$(cmake --build "$build" --target help)
    for target in thaw_cuda_module op_parity_test_cuda op_golden_test_cuda net_golden_test_cuda update_test_cuda nccl_open_test \
        device_json; do
        ! grep -q "^$target:" <<<"$available" || targets+=("$target")
    done
    cmake --build "$build" --target "${targets[@]}" >&2
}

if [ -z "$build" ]; then
    build=$source/build/bundle
    (cd "$source" && build_programs)
fi
[ -x "$build/thaw" ] || refuse "there is no '$build/thaw'"
build=$(cd "$build" && pwd)
version=$("$build/thaw" --version | sed -n '1s/^thaw \([^ ]*\).*/\1/p')
name=thaw-$version-$(uname -m)
out=${out:-$name.tar.gz}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/$name
mkdir -p "$top"/{bin,lib,libexec,tools/bench,tests/golden,examples}

# --- libraries -----------------------------------------------------------------------------------------------------------

# Those that belong to the machine: the C library and the driver.
of_machine='^(ld-linux.*|lib(c|m|pthread|dl|rt|resolv|util|mvec|nss_.*|anl)|libcuda|libnvidia-.*)\.so'
of_cuda='^lib(cudart|cublas|cublasLt|cudnn|cudnn_.*|nvrtc|nvrtc-builtins|nccl|nvJitLink)\.so'

# Copies what an ELF file needs that is neither the machine's nor there already; CUDA's own is noted.
add_libraries() { # FILE...
    local file library path
    for file in "$@"; do
        while read -r library path; do
            if [[ $library =~ $of_machine ]]; then
                continue
            elif [ "$path" = not ]; then
                echo "bundle.sh: '$file' needs $library, which is not here" >&2
                return 1
            elif [[ $library =~ $of_cuda ]]; then
                echo "$library" >>"$work/cuda"
                [ -n "$with_cuda" ] || continue
                add_cuda "$(dirname "$path")"
            fi
            [ -e "$top/lib/$library" ] || install -m 644 "$path" "$top/lib/$library"
        done < <(ldd "$file" | awk '$2 == "=>" {print $1, $3}')
    done
}

# What CUDA's libraries load as they run, which no ELF file names.
add_cuda() { # FOLDER
    local file
    for file in "$1"/libcudnn_*.so.[0-9] "$1"/libnvrtc.so.[0-9]* "$1"/libnvrtc-builtins.so.[0-9]*; do
        [ ! -e "$file" ] || [ -e "$top/lib/${file##*/}" ] || install -m 644 "$file" "$top/lib/${file##*/}"
    done
}

# A program goes to libexec/, and a launcher of its name to bin/.
add_program() { # FILE
    install -m 755 "$1" "$top/libexec/${1##*/}"
    install -m 755 "$source/tools/bundle/launch" "$top/bin/${1##*/}"
    add_libraries "$1"
}

# --- Open MPI ------------------------------------------------------------------------------------------------------------

# Parts of Open MPI for networks that a bundle cannot serve, whose libraries load drivers: ranks use shared memory and TCP.
of_networks='_(ucx|ofi|psm2?|openib|verbs|portals4|usnic|ugni|flux|monitoring|knem)\.so$|mca_(spml|sshmem|memheap|scoll|atomic)_'

ompi() { # NAME: one of Open MPI's folders
    ompi_info --path all --parsable | awk -F: -v name="$1" '$1 == "path" && $2 == name && !seen++ {print $3}'
}

# mpirun, the daemon of other hosts, plugins, and words of messages.
add_mpi() {
    local program plugin pmix
    if [[ $(ldd "$build/thaw") != *libopen-rte.so* ]]; then
        echo "bundle.sh: not Open MPI 4: without mpirun" >&2
        return
    fi
    for program in mpirun orted; do
        install -m 755 "$(readlink -f "$(command -v $program)")" "$top/libexec/$program"
        install -m 755 "$source/tools/bundle/launch" "$top/bin/$program"
        add_libraries "$top/libexec/$program"
    done
    mkdir -p "$top"/{lib/openmpi,share/openmpi,etc/openmpi}
    for plugin in "$(ompi pkglibdir)"/mca_*.so; do
        [[ $plugin =~ $of_networks ]] || add_plugin "$plugin" "$top/lib/openmpi"
    done
    find "$(ompi pkgdatadir)/" -maxdepth 1 -name 'help-*.txt' -exec install -m 644 -t "$top/share/openmpi" {} +
    pmix=$(dirname "$(readlink -f "$(ldd "$top/lib/openmpi"/mca_pmix_*.so | awk '/libpmix.so/ {path = $3} END {print path}')")")
    mkdir -p "$top/lib/pmix"
    for plugin in "$pmix"/pmix/pmix_mca_*.so; do
        [ ! -e "$plugin" ] || add_plugin "$plugin" "$top/lib/pmix"
    done
}

add_plugin() { # FILE FOLDER
    install -m 644 "$1" "$2/"
    add_libraries "$1"
}

# --- all of it -----------------------------------------------------------------------------------------------------------

touch "$work/cuda"
add_program "$build/thaw"
for module in "$build"/thaw-*.so; do # loaded by thaw, from beside it
    [ ! -e "$module" ] || { install -m 755 "$module" "$top/libexec/" && add_libraries "$module"; }
done
missing=()
for program in "${programs[@]}"; do
    if [ -x "$build/$program" ]; then add_program "$build/$program"; else missing+=("${program##*/}"); fi
done
add_mpi
sort -u "$work/cuda" >"$top/lib/cuda-libraries"

install -m 644 "$source/tools/bundle/env.sh" "$top/"
install -m 644 "$source"/{LICENSE,README.md} "$top/"
install -D -m 644 -t "$top/docs" "$source"/docs/*.md
install -m 644 "$source"/tests/golden/{ops,nets}.h5 "$top/tests/golden/"
install -m 644 "$source"/examples/*.yaml "$top/examples/"
install -m 755 "$source"/tools/{test-gpu,bench-gpu}.sh "$top/tools/"
install -m 644 "$source"/tools/{gpu-lib,mpi-env}.sh "$top/tools/"
install -m 644 "$source"/tools/bench/torch*.py "$top/tools/bench/"

# The newest version of the C library that anything in it asks for.
glibc=$(find "$top" -type f -exec sh -c 'for file; do objdump -T "$file" 2>/dev/null; done; :' sh {} + |
    sed -n 's/.*(\?GLIBC_\([0-9.]*\)).*/\1/p' | sort -uV | tail -n 1)
native=$(sed -n 's/^THAW_NATIVE:BOOL=//p' "$build/CMakeCache.txt" 2>/dev/null || echo unknown)
flags=$(sed -n 's/^CMAKE_C_FLAGS:STRING=//p' "$build/CMakeCache.txt" 2>/dev/null || echo unknown)
processor=${flags#-march=}
processor=${processor:-x86-64}
[ "$native" != ON ] || processor="one like that on which it was built (THAW_NATIVE)"
{
    "$build/thaw" --version
    echo "needs   glibc $glibc or later, Linux $(uname -m), processor: $processor"
    [ ! -s "$top/lib/cuda-libraries" ] ||
        echo "CUDA    $([ -n "$with_cuda" ] && echo included || echo "not included"): $(paste -sd ' ' "$top/lib/cuda-libraries")"
    [ ${#missing[@]} = 0 ] || echo "lacks   ${missing[*]}"
} >"$top/ABOUT"
sed '/^thaw/d; /^device/d; /^libraries/d' "$top/ABOUT"

tar --create --sort=name --format=gnu --mtime=@"${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner \
    --mode=u+rwX,go+rX,go-w -C "$work" "$name" | gzip -n >"$out"
echo "made    $out, $(($(stat -c %s "$out") / 1048576)) MiB"
