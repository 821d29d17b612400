#include "http/message.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/check.h"
#include "base/file_descriptor.h"
#include "base/text.h"

namespace atelier::http {

std::string_view find_header(const Headers& headers, std::string_view name) {
  const auto found =
      std::ranges::find_if(headers, [&](const auto& header) { return equals_ignoring_case(header.first, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<std::string> Request::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

const std::string& Request::param(std::string_view name) const {
  const auto found = params.find(std::string(name));
  CHECK(found != params.end());
  return found->second;
}

Response& Response::set_header(std::string_view name, std::string_view value) {
  std::string clean;
  clean.reserve(value.size());
  for (const char c : value) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) clean += c;
  }
  for (auto& header : headers) {
    if (equals_ignoring_case(header.first, name)) {
      header.second = std::move(clean);
      return *this;
    }
  }
  headers.emplace_back(name, std::move(clean));
  return *this;
}

Response Response::json(int status, const json::value& value) {
  return text(status, to_text(value), "application/json; charset=utf-8");
}

Response Response::text(int status, std::string_view text, std::string_view content_type) {
  Response response = empty(status);
  response.body = text;
  response.set_header("Content-Type", content_type);
  return response;
}

Result<Response> Response::file(const std::filesystem::path& path, FileRange range) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return fail(errno_error(errno, "open a file"));
  // Shared: closed with the last copy of the source that reads it, since std::function wants copyable captures.
  auto file = std::make_shared<FileDescriptor>(descriptor);
  struct stat facts{};
  if (::fstat(descriptor, &facts) != 0) return fail(errno_error(errno, "look at a file"));
  if (!S_ISREG(facts.st_mode)) return fail(Code::kNotFound, "This is not a file.");
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (range.offset > size || range.length.value_or(0) > size - range.offset) {
    return fail(Code::kInvalidArgument, "The range reaches behind the end of the file.");
  }
  const std::uint64_t length = range.length.value_or(size - range.offset);
  Response response = empty(200);
  response.source = BodySource{
      .length = length,
      .read = [file, at = range.offset, left = length](std::span<std::byte> buffer) mutable -> Result<std::size_t> {
        const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
        const ssize_t got = ::pread(file->get(), buffer.data(), wanted, static_cast<off_t>(at));
        if (got < 0) return fail(errno_error(errno, "read a file"));
        at += static_cast<std::uint64_t>(got);
        left -= static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
      }};
  return response;
}

Response refuse(const Refusal& refusal) {
  const json::object error{{"code", refusal.code}, {"message", refusal.message}};
  Response response = Response::json(refusal.status, json::object{{"error", error}});
  if (!refusal.allow.empty()) response.set_header("Allow", refusal.allow);
  if (refusal.status == 503) response.set_header("Retry-After", "1");
  return response;
}

}  // namespace atelier::http
