// Serves a folder of built web files: the portal.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"

namespace atelier::http {

// GET and HEAD only. Files below `folder`, never above it and never through a symbolic link that leads out of it.
// Under assets/ names hold a digest of their content, so they may be kept for ever; others are asked for again, with
// ETag. Unknown paths of a browser (Accept: text/html) get index.html, because the portal routes on its own.
class StaticFiles {
 public:
  struct Options {
    std::filesystem::path folder;
    // First path segments that belong to the API and never get index.html, in lower case.
    std::vector<std::string> api_segments = {"subscriptions", "providers", "tenants", "metadata", "adfs", "uploads"};
  };

  explicit StaticFiles(Options options) : options_(std::move(options)) {}

  // nullopt when there is no such file. For Router::set_fallback. Any thread.
  std::optional<Response> answer(const Request& request) const;

 private:
  Options options_;
};

// "text/javascript; charset=utf-8" for "x.js"; application/octet-stream when unknown.
std::string_view content_type_of(const std::filesystem::path& file);

}  // namespace atelier::http
