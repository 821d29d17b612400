#include "atelier/disk_upload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "atelier/byte_ranges.h"
#include "atelier/operation_progress.h"
#include "base/file_descriptor.h"
#include "base/text.h"

namespace atelier::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kPieceBytes = 8 << 20;
constexpr std::size_t kPurposeLengthMax = 50;
constexpr std::size_t kSignaturesMax = 5;  // how often an expired signed URL is replaced

Result<std::uint64_t> size_of(int descriptor) {
  struct stat facts{};
  if (::fstat(descriptor, &facts) != 0) return fail(errno_error(errno, "look at the disk file"));
  if (!S_ISREG(facts.st_mode) || facts.st_size == 0) {
    return fail(Code::kInvalidArgument, "A disk file is a regular file that is not empty.");
  }
  return static_cast<std::uint64_t>(facts.st_size);
}

// One upload under way.
class Uploader {
 public:
  Uploader(Service& service, const DiskUpload& upload, int descriptor, std::uint64_t size)
      : service_(service), upload_(upload), descriptor_(descriptor), size_(size), began_(Clock::now()) {}

  Status run() {
    TRY(sign());
    known_ = TRY(page_list());
    std::uint64_t offset = 0;
    while (offset < size_) {
      offset = next_data(descriptor_, offset, size_);
      const std::uint64_t end = std::min(size_, offset + kPieceBytes);
      for (const ByteRange& range : without(TRY(data_ranges(descriptor_, {offset, end})), known_)) TRY(send(range));
      offset = end;
      show(offset);
    }
    clear_progress();
    return {};
  }

 private:
  Status sign() {
    const json::object body{{"access", "Write"}, {"durationInSeconds", 86400}};
    ArmAnswer answer = TRY(service_.arm->call("POST", upload_.disk_id + "/beginGetAccess", &body));
    if (answer.status == 202) {
      TRY(follow_operation(*service_.arm, answer.operation_url, quiet()));
      answer = TRY(service_.arm->call("GET", answer.location));
    }
    signed_url_ = string_at(answer.body, "accessSAS");
    if (signed_url_.empty()) return fail(Code::kUnavailable, "The service gave no URL to upload to.");
    return {};
  }

  // The steps around an upload are too short for a progress line of their own.
  ClientOptions quiet() const {
    ClientOptions options = service_.options;
    options.progress = ProgressMode::kNone;
    return options;
  }

  Result<std::vector<ByteRange>> page_list() {
    const net::Response answer =
        TRY(service_.arm->send_signed({.url = signed_url_ + "&comp=pagelist", .body_bytes_max = 64 << 20}));
    if (answer.status != 200) return fail(refusal(answer));
    return parse_page_list(answer.body);
  }

  Status send(ByteRange range) {
    for (std::size_t attempt = 1;; ++attempt) {
      net::Request request{
          .method = "PUT",
          .url = signed_url_ + "&comp=page",
          .headers = {{"x-ms-page-write", "update"},
                      {"x-ms-range", fmt::format("bytes={}-{}", range.begin, range.end - 1)},
                      {"Content-Type", "application/octet-stream"}},
          .upload = net::FileRange{.descriptor = descriptor_, .offset = range.begin, .length = range.size()},
          .timeout = std::chrono::milliseconds(0)};
      request.on_sent = [this, range](std::uint64_t bytes) {
        if (Clock::now() - shown_at_ > std::chrono::milliseconds(200)) show(range.begin + bytes);
      };
      const net::Response answer = TRY(service_.arm->send_signed(std::move(request)));
      if (answer.status == 201) {
        sent_bytes_ += range.size();
        return {};
      }
      if (answer.status != 403 || attempt == kSignaturesMax) return fail(refusal(answer));
      TRY(sign());
    }
  }

  static Error refusal(const net::Response& answer) {
    const auto body = parse_json_object(answer.body);
    return error_of(answer.status, body ? *body : json::object{});
  }

  void show(std::uint64_t offset) {
    shown_at_ = Clock::now();
    const double seconds = std::chrono::duration<double>(shown_at_ - began_).count();
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(sent_bytes_) / std::max(0.001, seconds));
    const double share = static_cast<double>(offset) / static_cast<double>(size_);
    std::optional<std::int64_t> eta;
    if (share > 0.02) eta = static_cast<std::int64_t>(seconds / share * (1 - share));
    const ProgressNumbers numbers{
        .doing = "Uploading", .percent = 100 * share, .bytes_per_second = rate, .eta_seconds = eta, .phase = {}};
    if (service_.options.progress == ProgressMode::kAuto) show_progress(progress_line(numbers));
    if (service_.options.progress != ProgressMode::kJson) return;
    print_message(to_text(json::object{
        {"status", "Uploading"}, {"percentComplete", 100 * share}, {"bytesSent", sent_bytes_}, {"bytesTotal", size_}}));
  }

  Service& service_;
  const DiskUpload& upload_;
  const int descriptor_;
  const std::uint64_t size_;
  const Clock::time_point began_;
  Clock::time_point shown_at_{};
  std::string signed_url_;
  std::vector<ByteRange> known_;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace

Result<std::string> upload_disk_name(const std::filesystem::path& file, std::string_view purpose) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0) return fail(errno_error(errno, "open " + file.string()));
  std::error_code ignored;
  const std::string identity = fmt::format("{}|{}|{}.{}", std::filesystem::absolute(file, ignored).string(),
                                           facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: only has to tell one user's files apart
  for (const char c : identity) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("upload-{}-{:016x}", purpose.substr(0, kPurposeLengthMax), hash);
}

Status upload_disk(Service& service, const DiskUpload& upload) {
  const FileDescriptor file(::open(upload.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return fail(errno_error(errno, "open " + upload.file.string()));
  const std::uint64_t size = TRY(size_of(file.get()));
  const auto disk = service.arm->get(upload.disk_id);
  if (!disk && disk.error().code() != Code::kNotFound) return fail(disk.error());
  if (disk && string_at(*disk, "properties.diskState") == "Unattached") return {};  // whole already
  if (!disk) {
    const json::object body{
        {"location", upload.location},
        {"properties",
         json::object{{"creationData", json::object{{"createOption", "Upload"}, {"uploadSizeBytes", size}}}}}};
    TRY(change(service, "PUT", upload.disk_id, &body, Wait::kUntilDone));
  }
  Uploader uploader(service, upload, file.get(), size);
  const Status sent = uploader.run();
  if (!sent && (sent.error().code() == Code::kUnavailable || sent.error().code() == Code::kCanceled)) {
    return fail(Error(sent.error().code(),
                      sent.error().message() + " The same command, given again, goes on with the upload."));
  }
  TRY(Status(sent));
  TRY(change(service, "POST", upload.disk_id + "/endGetAccess", nullptr, Wait::kUntilDone));
  return {};
}

}  // namespace atelier::cli
