#include "http/static_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "base/text.h"

namespace atelier::http {
namespace {

namespace fs = std::filesystem;

struct ContentType {
  std::string_view extension;
  std::string_view type;
};

constexpr std::array kContentTypes = {
    ContentType{".html", "text/html; charset=utf-8"},
    ContentType{".js", "text/javascript; charset=utf-8"},
    ContentType{".mjs", "text/javascript; charset=utf-8"},
    ContentType{".css", "text/css; charset=utf-8"},
    ContentType{".json", "application/json; charset=utf-8"},
    ContentType{".map", "application/json; charset=utf-8"},
    ContentType{".webmanifest", "application/manifest+json; charset=utf-8"},
    ContentType{".svg", "image/svg+xml"},
    ContentType{".png", "image/png"},
    ContentType{".jpg", "image/jpeg"},
    ContentType{".webp", "image/webp"},
    ContentType{".ico", "image/x-icon"},
    ContentType{".woff2", "font/woff2"},
    ContentType{".woff", "font/woff"},
    ContentType{".ttf", "font/ttf"},
    ContentType{".wasm", "application/wasm"},
    ContentType{".txt", "text/plain; charset=utf-8"},
};

// Styles may be inline because the portal's component library writes <style> elements as it runs.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

bool is_within(const fs::path& file, const fs::path& folder) {
  const auto [in_folder, in_file] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return in_folder == folder.end() && in_file != file.end();
}

// The regular file at a decoded path below the folder, links followed, or nothing.
std::optional<fs::path> find_file(const fs::path& folder, std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return std::nullopt;
  fs::path file = fs::canonical(root / path, error);
  if (error || !is_within(file, root) || !fs::is_regular_file(file, error)) return std::nullopt;
  return file;
}

std::optional<std::string> etag_of(const fs::path& file) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0) return std::nullopt;
  return fmt::format("\"{:x}-{:x}.{:x}\"", facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
}

bool names_etag(std::string_view if_none_match, std::string_view etag) {
  return if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos;
}

void add_security_headers(Response& response) {
  response.set_header("Content-Security-Policy", kContentSecurityPolicy);
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("X-Frame-Options", "DENY");
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_header("Cross-Origin-Opener-Policy", "same-origin");
}

}  // namespace

std::string_view content_type_of(const fs::path& file) {
  const std::string extension = to_lower(file.extension().string());
  const auto found = std::ranges::find(kContentTypes, extension, &ContentType::extension);
  return found == kContentTypes.end() ? "application/octet-stream" : found->type;
}

std::optional<Response> StaticFiles::answer(const Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  const std::string_view path = std::string_view(request.path).substr(1);
  const std::string first = to_lower(path.substr(0, path.find('/')));
  if (std::ranges::find(options_.api_segments, first) != options_.api_segments.end()) return std::nullopt;
  auto file = find_file(options_.folder, path);
  if (!file && first != "assets" && request.header("Accept").find("text/html") != std::string_view::npos) {
    file = find_file(options_.folder, "index.html");
  }
  if (!file && path.empty()) file = find_file(options_.folder, "index.html");
  if (!file) return std::nullopt;
  const auto etag = etag_of(*file);
  if (!etag) return std::nullopt;

  const bool is_immutable = first == "assets";
  Response response = Response::empty(304);
  if (!names_etag(request.header("If-None-Match"), *etag)) {
    auto opened = Response::file(*file);
    if (!opened) return std::nullopt;
    response = std::move(*opened);
    response.set_header("Content-Type", content_type_of(*file));
  }
  response.set_header("ETag", *etag);
  response.set_header("Cache-Control", is_immutable ? "public, max-age=31536000, immutable" : "no-cache");
  add_security_headers(response);
  return response;
}

}  // namespace atelier::http
