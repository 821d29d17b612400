// Free TCP ports of 127.0.0.1.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

namespace atelier::vm {

// Whether nobody listens there now.
bool port_is_free(std::uint16_t port);

// A free port of first..last that is not in `taken`, chosen at random; nullopt when there is none. Nothing reserves it.
std::optional<std::uint16_t> pick_port(std::uint16_t first, std::uint16_t last, const std::set<std::uint16_t>& taken);

}  // namespace atelier::vm
