// What is behind the signed URL of a disk: the part of the page blob protocol that an upload needs.
#include "api/uploads.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "api/disk_rows.h"
#include "api/errors.h"
#include "api/own_routes.h"
#include "auth/sas.h"
#include "base/file_descriptor.h"
#include "base/text.h"
#include "db/database.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::uint64_t kPutBytesMax = 64ULL << 20;
constexpr std::size_t kBufferBytes = 256 << 10;

// A failed call on the file. Its message reaches the client: no path in it.
std::unexpected<Error> file_error(std::string_view doing) {
  Error error = errno_error(errno, doing);
  if (error.code() == Code::kResourceExhausted) {
    return fail(Error(Code::kResourceExhausted,
                      "The service has no room left for uploads. Ask its administrator to free some, then send the "
                      "same range again.")
                    .with_reason("InsufficientStorage"));
  }
  return fail(std::move(error));
}

Status write_all(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("write the upload");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

// Exactly the range's bytes, in constant memory.
Status receive(http::BodyReader& body, int descriptor, ByteRange range) {
  std::vector<std::byte> buffer(kBufferBytes);
  std::uint64_t offset = range.first;
  for (;;) {
    const std::size_t got = TRY(body.read(buffer));
    if (got == 0) break;
    if (got > range.last + 1 - offset) return fail(Code::kInvalidArgument, "The body is longer than x-ms-range says.");
    TRY(write_all(descriptor, std::span(buffer).first(got), offset));
    offset += got;
  }
  if (offset != range.last + 1) return fail(Code::kInvalidArgument, "The body is shorter than x-ms-range says.");
  return {};
}

std::unexpected<Error> bad_header(std::string_view header, std::string message) {
  return fail(Error(Code::kInvalidArgument, std::move(message))
                  .with_reason("InvalidHeaderValue")
                  .with_target(std::string(header)));
}

// Whoever has the signed URL may write this one disk.
Result<db::Resource> signed_disk(const Context& context, const http::Request& request) {
  const std::string& guid = request.param("disk");
  TRY(context.upload_signer.verify(guid, request.query_value("se").value_or(""),
                                   request.query_value("sig").value_or("")));
  return context.parts.database.read(
      [&](db::Transaction& transaction) { return find_disk_by_guid(transaction, guid); });
}

Status check_takes_bytes(const db::Resource& disk) {
  if (string_at(disk.properties, "diskState") == "ActiveUpload") return {};
  return fail(Error(Code::kFailedPrecondition,
                    fmt::format("The disk '{}' takes no bytes any more: its access was ended.", disk.name))
                  .with_reason("OperationNotAllowed"));
}

Result<ByteRange> range_of(const http::Request& request, const db::Resource& disk) {
  if (!equals_ignoring_case(request.header("x-ms-page-write"), "update")) {
    return bad_header("x-ms-page-write", "The header x-ms-page-write must be 'update'.");
  }
  const std::string_view header =
      request.header("x-ms-range").empty() ? request.header("Range") : request.header("x-ms-range");
  const ByteRange range = TRY(parse_byte_range(header));
  const std::uint64_t size = upload_bytes_of(disk);
  if (range.last >= size) {
    return fail(Error(Code::kInvalidArgument,
                      fmt::format("The range ends at byte {}; the disk was declared with {} bytes.", range.last, size))
                    .with_reason("InvalidPageRange")
                    .with_target("x-ms-range"));
  }
  if (range.size() > kPutBytesMax) {
    return fail(
        Error(Code::kTooLarge, fmt::format("One request takes at most {} bytes. Send smaller pieces.", kPutBytesMax))
            .with_target("x-ms-range"));
  }
  const auto length = request.stream == nullptr ? std::optional<std::uint64_t>() : request.stream->length();
  if (length && *length != range.size()) {
    return bad_header("Content-Length",
                      fmt::format("Content-Length is {}, and x-ms-range is {} bytes long.", *length, range.size()));
  }
  return range;
}

// Bytes first, then the row that says they are there: an acknowledged range survives any crash.
Status put_pages(const Context& context, const http::Request& request) {
  const db::Resource disk = TRY(signed_disk(context, request));
  TRY(check_takes_bytes(disk));
  const ByteRange range = TRY(range_of(request, disk));
  if (request.stream == nullptr) return fail(Code::kInvalidArgument, "The request has no body.");
  TRY(ensure_upload_file(context, disk));
  const FileDescriptor file(::open(upload_file(context, disk).c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0) return file_error("open the upload");
  TRY(receive(*request.stream, file.get(), range));
  if (::fdatasync(file.get()) != 0) return file_error("write the upload");
  return context.parts.database.write([&](db::Transaction& transaction) -> Status {
    db::Resource now_disk = TRY(find_disk_by_guid(transaction, request.param("disk")));
    TRY(check_takes_bytes(now_disk));
    keep_ranges(now_disk, TRY(with_range(ranges_of(now_disk), range)));
    return db::update_resource(transaction, now_disk);
  });
}

http::Response page_list(const db::Resource& disk) {
  std::string xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><PageList>";
  for (const ByteRange& range : ranges_of(disk)) {
    xml += fmt::format("<PageRange><Start>{}</Start><End>{}</End></PageRange>", range.first, range.last);
  }
  return http::Response::text(200, xml + "</PageList>", "application/xml");
}

void add_blob_headers(http::Response& response, const db::Resource& disk) {
  response.set_header("x-ms-blob-type", "PageBlob");
  response.set_header("x-ms-blob-content-length", std::to_string(upload_bytes_of(disk)));
  response.set_header("ETag", fmt::format("\"{:#x}\"", disk.revision));
}

http::Response upload_error(const http::Request& request, const Error& error) {
  http::Response response = error_response(error);
  // Storage clients say that they want XML; everybody else gets the shape of the rest of the API.
  if (request.header("Accept").find("xml") == std::string_view::npos) return response;
  const json::object shown = error_object(error);
  std::string message(shown.at("message").as_string());
  std::erase_if(message, [](char c) { return c == '<' || c == '>' || c == '&'; });
  http::Response xml = http::Response::text(
      response.status,
      fmt::format("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>",
                  arm_code_of(error), message),
      "application/xml");
  xml.set_header("x-ms-error-code", arm_code_of(error));
  return xml;
}

http::Response put_upload(const Context& context, http::Request& request) {
  if (!equals_ignoring_case(request.query_value("comp").value_or(""), "page")) {
    return upload_error(request, Error(Code::kUnsupported, "Only PUT with comp=page is offered: it writes a range.")
                                     .with_reason("UnsupportedQueryParameter")
                                     .with_target("comp"));
  }
  if (const Status written = put_pages(context, request); !written) return upload_error(request, written.error());
  return http::Response::empty(201);
}

http::Response get_upload(const Context& context, http::Request& request) {
  const auto disk = signed_disk(context, request);
  if (!disk) return upload_error(request, disk.error());
  const std::string comp = to_lower(request.query_value("comp").value_or(""));
  if (comp != "pagelist" && request.method != "HEAD") {
    return upload_error(request, Error(Code::kUnsupported,
                                       "Only GET with comp=pagelist is offered: it lists the "
                                       "ranges that are safe.")
                                     .with_reason("UnsupportedQueryParameter")
                                     .with_target("comp"));
  }
  http::Response response = comp == "pagelist" ? page_list(*disk) : http::Response::empty(200);
  add_blob_headers(response, *disk);
  return response;
}

}  // namespace

Result<ByteRange> parse_byte_range(std::string_view header) {
  constexpr std::string_view kBytes = "bytes=";
  const std::size_t dash = header.find('-');
  if (header.starts_with(kBytes) && dash != std::string_view::npos) {
    const auto first = parse_uint64(header.substr(kBytes.size(), dash - kBytes.size()));
    const auto last = parse_uint64(header.substr(dash + 1));
    if (first && last && *first <= *last) return ByteRange{.first = *first, .last = *last};
  }
  return bad_header("x-ms-range", "The header x-ms-range must be 'bytes=FIRST-LAST', both included.");
}

Result<std::vector<ByteRange>> with_range(std::vector<ByteRange> ranges, ByteRange added, std::size_t ranges_max) {
  ranges.push_back(added);
  std::ranges::sort(ranges);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  if (merged.size() <= ranges_max) return merged;
  return fail(Code::kTooLarge, fmt::format("The upload is in more than {} pieces apart from each other. Send "
                                           "neighbouring or larger pieces.",
                                           ranges_max));
}

std::vector<ByteRange> ranges_of(const db::Resource& disk) {
  std::vector<ByteRange> ranges;
  const json::value* kept = find(disk.internal, "ranges");
  if (kept == nullptr || !kept->is_array()) return ranges;
  for (const json::value& each : kept->get_array()) {
    const json::array* pair = each.if_array();
    if (pair == nullptr || pair->size() != 2) continue;
    ranges.push_back({.first = (*pair)[0].to_number<std::uint64_t>(), .last = (*pair)[1].to_number<std::uint64_t>()});
  }
  return ranges;
}

void keep_ranges(db::Resource& disk, const std::vector<ByteRange>& ranges) {
  json::array kept;
  for (const ByteRange& range : ranges) {
    json::array pair;
    pair.emplace_back(range.first);
    pair.emplace_back(range.last);
    kept.emplace_back(std::move(pair));
  }
  disk.internal["ranges"] = std::move(kept);
}

std::filesystem::path upload_file(const Context& context, const db::Resource& disk) {
  return context.parts.uploads / string_at(disk.internal, "file");
}

Status ensure_upload_file(const Context& context, const db::Resource& disk) {
  const std::filesystem::path path = upload_file(context, disk);
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return file_error("make the upload");
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return file_error("look at the upload");
  const auto size = static_cast<off_t>(upload_bytes_of(disk));
  if (facts.st_size == size) return {};
  if (::ftruncate(file.get(), size) != 0 || ::fsync(file.get()) != 0) return file_error("make the upload");
  const FileDescriptor folder(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return file_error("make the upload");
  return {};
}

Status remove_upload_file(const Context& context, const db::Resource& disk) {
  if (string_at(disk.internal, "file").empty()) return {};
  if (::unlink(upload_file(context, disk).c_str()) == 0 || errno == ENOENT) return {};
  return file_error("remove the upload");
}

void add_upload_routes(http::Router& router, Context& context) {
  router.add({.method = "PUT",
              .pattern = "/uploads/{disk}",
              .handler = [&context](http::Request& request) { return put_upload(context, request); },
              .body = http::BodyKind::kStream,
              .body_bytes_max = kPutBytesMax});
  for (const char* method : {"GET", "HEAD"}) {
    router.add({.method = method, .pattern = "/uploads/{disk}", .handler = [&context](http::Request& request) {
                  return get_upload(context, request);
                }});
  }
}

}  // namespace atelier::api
