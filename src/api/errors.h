// An Error as an ARM answer: the one switch from Code to HTTP status and ARM code.
#pragma once

#include <string>

#include "base/error.h"
#include "base/json.h"
#include "http/message.h"

namespace atelier::api {

int http_status_of(const Error& error);
// error.reason() when it has one, else the code's own word: "InvalidParameter", "ResourceNotFound", "Conflict" …
std::string arm_code_of(const Error& error);
// {"code","message","target"?}
json::object error_object(const Error& error);
// {"error":{…}} with the status and x-ms-error-code.
http::Response error_response(const Error& error);

}  // namespace atelier::api
