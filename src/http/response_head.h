// The status line and header of a response as bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace atelier::http {

enum class AfterResponse { kKeepAlive, kClose };

// Whether a response of that status has a body at all (1xx, 204 and 304 have none).
bool has_body(int status);

// `content_length` is absent for those without. Header fields that are the server's own are dropped from the
// response's.
std::string response_head(const Response& response, std::string_view request_id,
                          std::optional<std::uint64_t> content_length, AfterResponse after);

}  // namespace atelier::http
