# What every target of the project shares: warnings, sanitizers, one library per folder, tests beside the code.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(GTest REQUIRED)
# Exact: Debian ships 1.74 too, and the two development trees exclude each other.
find_package(Boost 1.81 REQUIRED COMPONENTS json url)

set(ATELIER_SANITIZE "" CACHE STRING "Value of -fsanitize=, e.g. address,undefined; empty for none")

add_library(atelier_flags INTERFACE)
target_compile_options(atelier_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
# Paths relative to the tree: equal objects in every build folder (ccache), and no machine's path in a binary.
target_compile_options(atelier_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_include_directories(atelier_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(atelier_flags INTERFACE Threads::Threads)
if(ATELIER_SANITIZE)
  target_compile_options(atelier_flags INTERFACE -fsanitize=${ATELIER_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(atelier_flags INTERFACE -fsanitize=${ATELIER_SANITIZE})
  if(ATELIER_SANITIZE MATCHES "undefined")
    target_compile_options(atelier_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

# atelier_library(NAME SOURCES a.cpp b.cpp HEADERS a.h b.h LINK base fmt::fmt)
# makes the folder's library atelier_NAME; every header of it is also compiled alone (target all_verify_interface_header_sets).
function(atelier_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;LINK;LINK_PRIVATE" ${ARGN})
  add_library(atelier_${name} STATIC ${ARG_SOURCES})
  target_sources(atelier_${name} PUBLIC FILE_SET headers TYPE HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}/src FILES ${ARG_HEADERS})
  set_target_properties(atelier_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(atelier_${name} PUBLIC atelier_flags ${ARG_LINK} PRIVATE ${ARG_LINK_PRIVATE})
endfunction()

# atelier_test(NAME SOURCES a_test.cpp b_test.cpp LINK atelier_image LABELS unit)
# makes the program NAME_test of a folder's tests and one ctest entry per test case.
function(atelier_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE atelier_flags ${ARG_LINK} GTest::gtest GTest::gtest_main)
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# Debian ships these without CMake files.
function(atelier_find_library variable library header)
  find_library(${variable}_LIBRARY ${library} REQUIRED)
  find_path(${variable}_INCLUDE ${header} REQUIRED)
  add_library(${variable} INTERFACE)
  target_link_libraries(${variable} INTERFACE ${${variable}_LIBRARY})
  target_include_directories(${variable} SYSTEM INTERFACE ${${variable}_INCLUDE})
  set(${variable} ${variable} PARENT_SCOPE)
endfunction()

include(GoogleTest)
