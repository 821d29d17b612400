// Assertions for our own bugs, never for input. They stay on in release builds.
#pragma once

namespace atelier {
// Writes the condition and its place to standard error and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace atelier

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::atelier::check_failed(#condition, __FILE__, __LINE__))
