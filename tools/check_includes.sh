#!/usr/bin/env bash
# check_includes.sh: every header compiles alone, and each folder includes only what docs/architecture.md lets it.
# Programs of tools/bench may include everything.
set -eu
cd "$(dirname "$0")/.."
folders=(base io nn comm jobs tools runner)
failed=0

# Headers, as C11 and as C++17 (which has another word for _Noreturn).
read -ra hdf5 <<<"$(pkg-config --cflags-only-I hdf5-serial 2>/dev/null || pkg-config --cflags-only-I hdf5)"
strict=(-fsyntax-only -Wall -Wextra -Wpedantic -Werror -Wno-unused -I. "${hdf5[@]/#-I/-isystem}")
cuda=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")")/include
if [ -e "$cuda/cudnn.h" ]; then strict+=(-isystem "$cuda"); else without_cuda=(! -name gpu_real.h ! -name cudnn_plan.h); fi
while read -r header; do
    gcc -x c -std=c11 "${strict[@]}" "$header" || failed=1
    g++ -x c++ -std=c++17 "-D_Noreturn=[[noreturn]]" "${strict[@]}" "$header" || failed=1
done < <(find "${folders[@]}" -name '*.h' ${without_cuda+"${without_cuda[@]}"})

# Folders that a folder includes.
grep -rn --include='*.[ch]' '^#include "' "${folders[@]}" | awk -F '[:"]' '
    BEGIN {
        may["base"] = " base "
        may["io"] = " base io "
        may["nn"] = " base nn "
        may["comm"] = " base comm nn "
        may["jobs"] = " base jobs "
        may["tools"] = " base io jobs tools "
        may["runner"] = " base io nn comm jobs tools runner "
    }
    $1 !~ "^tools/bench/" {
        from = $1; sub("/.*", "", from)
        to = $4; sub("/.*", "", to)
        if (!index(may[from], " " to " ")) {
            print $1 ":" $2 ": " from "/ may not include " $4
            wrong = 1
        }
    }
    END { exit wrong }' || failed=1

# Foreign headers, and the files that wrap them.
while read -r header files; do
    # shellcheck disable=SC2086
    if grep -rnE --include='*.[ch]' "^#include <$header" "${folders[@]}" | grep -vE "^($files):"; then
        echo "... where only $files may include <$header>"
        failed=1
    fi
done <<'END'
hdf5\.h          io/h5\.h
j(peglib|error)\.h|png\.h|webp/  io/image_[a-z]*\.c
yaml\.h          jobs/yaml\.c
jansson\.h       io/weights_safetensors\.c
minizip/|libdeflate\.h  io/weights_zip\.c
mpi\.h           comm/comm_mpi\.c
nccl\.h          comm/nccl\.c
oneapi/dnnl/     nn/cpu/onednn\.c
cu(da_runtime_api|blasLt)\.h  nn/cuda/gpu_real\.h
cudnn\.h         nn/cuda/(gpu_real|cudnn_plan)\.h
omp\.h           nn/cpu/[a-z]*\.c
END
exit $failed
