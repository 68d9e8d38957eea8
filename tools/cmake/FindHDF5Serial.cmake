# The serial HDF5 C library as HDF5::serial, and HDF5Serial_VERSION.
#
# Debian keeps a serial and several MPI builds side by side, in folders of their own; CMake's FindHDF5 takes whichever
# h5cc the alternatives system points at. Elsewhere the library has its plain name.

find_path(HDF5Serial_INCLUDE_DIR hdf5.h PATH_SUFFIXES hdf5/serial)
find_library(HDF5Serial_LIBRARY NAMES hdf5_serial hdf5 PATH_SUFFIXES hdf5/serial)
mark_as_advanced(HDF5Serial_INCLUDE_DIR HDF5Serial_LIBRARY)

if(HDF5Serial_INCLUDE_DIR)
    file(STRINGS ${HDF5Serial_INCLUDE_DIR}/H5public.h version REGEX "^#define H5_VERS_(MAJOR|MINOR|RELEASE)[ \t]+[0-9]+")
    string(REGEX REPLACE "[^;0-9]*H5_VERS_[A-Z]+[ \t]+([0-9]+)[^;]*" "\\1" version "${version}")
    string(REPLACE ";" "." HDF5Serial_VERSION "${version}")
    file(STRINGS ${HDF5Serial_INCLUDE_DIR}/H5pubconf.h parallel REGEX "^#define H5_HAVE_PARALLEL")
    if(parallel)
        set(reason "${HDF5Serial_INCLUDE_DIR}/hdf5.h belongs to an MPI build of HDF5")
        unset(HDF5Serial_LIBRARY CACHE)
        unset(HDF5Serial_LIBRARY)
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(HDF5Serial
    REQUIRED_VARS HDF5Serial_LIBRARY HDF5Serial_INCLUDE_DIR
    VERSION_VAR HDF5Serial_VERSION
    REASON_FAILURE_MESSAGE "${reason}")

if(HDF5Serial_FOUND AND NOT TARGET HDF5::serial)
    add_library(HDF5::serial UNKNOWN IMPORTED)
    set_target_properties(HDF5::serial PROPERTIES
        IMPORTED_LOCATION ${HDF5Serial_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${HDF5Serial_INCLUDE_DIR})
endif()
