# shellcheck shell=bash
# Sourced: lets Open MPI 4 and 5 start ranks as root, and more of them than there are cores, as in a container or on a
# laptop.

if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none # ranks share all cores
export OMPI_MCA_mpi_yield_when_idle=1 # a rank that waits leaves its core to one that computes
