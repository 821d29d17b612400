#include "http/refusals.h"

#include <string>

namespace atelier::http {

Refusal refuse_busy() {
  return {.status = 503,
          .code = "ServerBusy",
          .message = "The server has too many requests at once. Try again in a moment."};
}

Refusal refuse_slow() { return {.status = 408, .code = "RequestTimeout", .message = "The request came too slowly."}; }

Refusal refuse_too_large(std::size_t bytes_max) {
  return {.status = 413,
          .code = "RequestBodyTooLarge",
          .message = "The request's body is larger than " + std::to_string(bytes_max) + " bytes, the most taken here."};
}

}  // namespace atelier::http
