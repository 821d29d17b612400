// Why a session turns a request away, in words.
#pragma once

#include <cstddef>

#include "http/message.h"

namespace atelier::http {

Refusal refuse_busy();                            // 503
Refusal refuse_slow();                            // 408
Refusal refuse_too_large(std::size_t bytes_max);  // 413

}  // namespace atelier::http
