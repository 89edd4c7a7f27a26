# Read by every CMake build of a dependency; see config.toml.
set(CMAKE_BUILD_TYPE Release CACHE STRING "always" FORCE)
