// One line per event on standard error: time, level, message. Control characters in the message are escaped, so that a
// name from outside cannot forge a line.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace atelier::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Lines below `level` are dropped; kInfo until it is called.
void set_level(Level level);
void write(Level level, std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace atelier::log
