# Flags for all of thaw's own code, and thaw_library(): one static library per folder.

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

option(THAW_NATIVE "compile for this machine's processor (-march=native)" ON)
option(THAW_TESTS "build the tests" ON)
option(THAW_WERROR "treat warnings as errors" ON)
option(THAW_FAULTS "thaw train --fault, with which tests let a rank hang, die or diverge" OFF)
set(THAW_CUDA AUTO CACHE STRING "build the GPU backend: ON, OFF, or AUTO where CUDA, cuDNN and NCCL are")
option(THAW_FUZZ "build the fuzz targets (clang with libFuzzer)" OFF)
set(THAW_SANITIZE "" CACHE STRING "sanitizers to build with, as -fsanitize takes them: address,undefined or thread")

set(CMAKE_C_FLAGS_RELEASE -O3) # without -DNDEBUG: assertions cost nothing that can be measured, and stay
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(thaw_options INTERFACE)
target_include_directories(thaw_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(thaw_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wwrite-strings -Wpointer-arith -fno-common
    $<$<BOOL:${THAW_WERROR}>:-Werror>
    $<$<BOOL:${THAW_NATIVE}>:-march=native>
    # The same bits on every run of a build: no contraction that depends on inlining decisions is asked for by name.
    -ffp-contract=off)
if(THAW_SANITIZE)
    target_compile_options(thaw_options INTERFACE -O1 -fsanitize=${THAW_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
    target_link_options(thaw_options INTERFACE -fsanitize=${THAW_SANITIZE})
endif()

if(THAW_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "THAW_FUZZ needs clang, this is ${CMAKE_C_COMPILER_ID}: -DCMAKE_C_COMPILER=clang")
    endif()
    target_compile_options(thaw_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# thaw_library(NAME SOURCES ... LINK ...): libthaw_NAME.a
function(thaw_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
    add_library(thaw_${name} STATIC ${arg_SOURCES})
    target_link_libraries(thaw_${name} PUBLIC thaw_options ${arg_LINK} PRIVATE ${arg_PRIVATE})
endfunction()
