# oneDNN as OneDNN::dnnl, and OneDNN_VERSION.
#
# Not its own package file: Debian 12's asks for the development files of OpenCL.

find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(OneDNN_LIBRARY dnnl)

if(OneDNN_INCLUDE_DIR)
    file(STRINGS ${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h version
        REGEX "^#define DNNL_VERSION_(MAJOR|MINOR|PATCH)[ \t]+[0-9]+")
    string(REGEX REPLACE "[^;0-9]*DNNL_VERSION_[A-Z]+[ \t]+([0-9]+)[^;]*" "\\1" version "${version}")
    string(REPLACE ";" "." OneDNN_VERSION "${version}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN
    REQUIRED_VARS OneDNN_LIBRARY OneDNN_INCLUDE_DIR
    VERSION_VAR OneDNN_VERSION)
mark_as_advanced(OneDNN_INCLUDE_DIR OneDNN_LIBRARY)

if(OneDNN_FOUND AND NOT TARGET OneDNN::dnnl)
    add_library(OneDNN::dnnl UNKNOWN IMPORTED)
    set_target_properties(OneDNN::dnnl PROPERTIES
        IMPORTED_LOCATION ${OneDNN_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${OneDNN_INCLUDE_DIR})
endif()
