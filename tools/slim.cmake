# llama-cpp-python forces LLAMA_BUILD_COMMON=ON into CMake's cache, so -D cannot switch it off. CMake includes this file
# inside llama.cpp's own project(), where a normal variable wins over the cache: 74 compile units instead of 178.
set(LLAMA_BUILD_COMMON OFF)
