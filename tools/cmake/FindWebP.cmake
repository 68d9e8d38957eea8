# libwebp and libwebpdemux as WebP::webp and WebP::webpdemux; WebP_VERSION where pkg-config knows it.

find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
    pkg_check_modules(PC_WebP QUIET libwebp)
endif()
find_path(WebP_INCLUDE_DIR webp/decode.h HINTS ${PC_WebP_INCLUDE_DIRS})
find_library(WebP_LIBRARY webp HINTS ${PC_WebP_LIBRARY_DIRS})
find_library(WebP_DEMUX_LIBRARY webpdemux HINTS ${PC_WebP_LIBRARY_DIRS})
set(WebP_VERSION ${PC_WebP_VERSION})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(WebP
    REQUIRED_VARS WebP_LIBRARY WebP_DEMUX_LIBRARY WebP_INCLUDE_DIR
    VERSION_VAR WebP_VERSION)
mark_as_advanced(WebP_INCLUDE_DIR WebP_LIBRARY WebP_DEMUX_LIBRARY)

if(WebP_FOUND AND NOT TARGET WebP::webp)
    add_library(WebP::webp UNKNOWN IMPORTED)
    set_target_properties(WebP::webp PROPERTIES
        IMPORTED_LOCATION ${WebP_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${WebP_INCLUDE_DIR})
    add_library(WebP::webpdemux UNKNOWN IMPORTED)
    set_target_properties(WebP::webpdemux PROPERTIES
        IMPORTED_LOCATION ${WebP_DEMUX_LIBRARY}
        INTERFACE_LINK_LIBRARIES WebP::webp)
endif()
