#include "nbdkit_plugin/served_images.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "image/directory_bucket.h"

namespace atelier::nbdkit_plugin {
namespace {

constexpr std::uint64_t kHydrateBytes = 1u << 20;
constexpr auto kHydratePause = std::chrono::milliseconds(20);

// Beside the store's reader, a bucket that may write: this one object, and no other.
Status put_trace(const std::filesystem::path& store_folder, const image::Digest& root,
                 std::span<const image::GrainRun> runs) {
  const auto bucket = TRY(image::DirectoryBucket::open(store_folder, image::Access::kReadWrite));
  return bucket->put(image::trace_name(root), image::encode_trace(root, runs));
}

// Only when there is nothing else to do for the processor and the disk.
void become_idle() {
  const sched_param none{};
  static_cast<void>(::sched_setscheduler(0, SCHED_IDLE, &none));
}

}  // namespace

ServedImage::ServedImage(std::shared_ptr<image::ImageReader> reader, const image::Digest& root,
                         image::ChunkSource& source, const ServeOptions& options, std::filesystem::path store_folder,
                         ServeCounts& counts)
    : reader_(std::move(reader)),
      root_(root),
      source_(source),
      options_(options),
      store_folder_(std::move(store_folder)),
      counts_(counts),
      read_ahead_(std::make_shared<image::ReadAhead>(source, reader_, options.read_ahead)) {}

ServedImage::~ServedImage() {
  if (is_recording_) keep_trace();
}

void ServedImage::prepare() {
  if (!options_.uses_traces) return;
  auto runs = image::read_trace(source_.store().bucket(), root_, reader_->disk_bytes());
  if (runs) {
    has_trace_ = true;
    read_ahead_->set_trace(std::move(*runs), options_.trace.window_bytes);
    return;
  }
  if (runs.error().code() != Code::kNotFound) {
    log::warning("image {}: its boot trace is left aside: {}", root_.hex(), runs.error().message());
    return;
  }
  recorder_ = std::make_unique<image::TraceRecorder>(options_.trace);
  is_recording_ = true;
}

void ServedImage::start() {
  if (!has_trace_) return;
  ++counts_.traces_replayed;
  read_ahead_->start();
}

Status ServedImage::read(std::uint64_t offset, std::span<std::byte> into) {
  ++counts_.requests;
  counts_.bytes += into.size();
  read_ahead_->follow(offset, into.size());
  ++reads_under_way_;
  Status done = reader_->read(offset, into);
  --reads_under_way_;
  if (done && is_recording_) recorder_->record(offset, into.size());
  return done;
}

Result<std::vector<image::Extent>> ServedImage::extents(std::uint64_t offset, std::uint64_t bytes,
                                                        std::size_t count_max) {
  extents_bytes_ += bytes;
  return reader_->extents(offset, bytes, count_max);
}

void ServedImage::tend() {
  if (is_recording_ && recorder_->is_over()) keep_trace();
}

void ServedImage::keep_trace() {
  if (!is_recording_.exchange(false)) return;
  const auto runs = recorder_->trace();
  if (!runs || extents_bytes_ >= image::trace_bytes(*runs)) return;
  const Status put = put_trace(store_folder_, root_, *runs);
  if (put) {
    ++counts_.traces_recorded;
    log::info("image {}: kept the trace of its first boot, {} stretches", root_.hex(), runs->size());
  } else if (put.error().code() != Code::kAlreadyExists) {
    // A writer that opens the store clears away what others are just writing: the next boot is recorded again.
    log::warning("image {}: the trace of its boot is not kept: {}", root_.hex(), put.error().message());
  }
}

bool ServedImage::hydrate_some() {
  const bool has_booted = std::chrono::steady_clock::now() - opened_ >= options_.trace.duration;
  const std::uint64_t end = std::min(options_.hydrate_bytes, reader_->disk_bytes());
  if (!has_booted || reads_under_way_ > 0 || hydrated_to_ >= end) return false;
  const image::DiskRange piece{hydrated_to_, std::min(kHydrateBytes, end - hydrated_to_)};
  hydrated_to_ += piece.bytes;
  counts_.hydrated_bytes += piece.bytes;
  static_cast<void>(reader_->prefetch({&piece, 1}, image::ChunkSource::Keep::kInCacheFile));
  return true;
}

Result<std::unique_ptr<ServedImages>> ServedImages::open(const std::filesystem::path& store_folder,
                                                         const ServeOptions& options) {
  auto store = TRY(image::open_directory_store(store_folder, image::Access::kReadOnly));
  return std::unique_ptr<ServedImages>(new ServedImages(std::move(store), store_folder, options));
}

ServedImages::ServedImages(std::unique_ptr<image::Store> store, std::filesystem::path store_folder,
                           const ServeOptions& options)
    : store_(std::move(store)),
      store_folder_(std::move(store_folder)),
      options_(options),
      source_(*store_, options_.chunks) {
  tending_ = std::jthread([this](const std::stop_token& stop) { tend(stop); });
  if (options_.hydrates && source_.has_cache_file()) {
    hydrating_ = std::jthread([this](const std::stop_token& stop) { hydrate(stop); });
  }
}

ServedImages::~ServedImages() {
  hydrating_ = {};
  tending_ = {};
  write_stats();
}

Result<std::shared_ptr<ServedImage>> ServedImages::find(std::string_view export_name) {
  const auto root = image::Digest::parse(export_name);
  if (!root) return fail(Code::kNotFound, "The export name is not the digest of an image.");
  {
    const std::lock_guard lock(mutex_);
    if (auto image = open_images_[*root].lock()) return image;
    std::erase_if(open_images_, [](const auto& entry) { return entry.second.expired(); });
  }
  std::shared_ptr<image::ImageReader> reader = TRY(image::ImageReader::open(source_, *root, options_.reads));
  auto image = std::make_shared<ServedImage>(std::move(reader), *root, source_, options_, store_folder_, counts_);
  image->prepare();
  {
    const std::lock_guard lock(mutex_);
    if (auto other = open_images_[*root].lock()) return other;  // opened at the same time
    open_images_[*root] = image;
  }
  image->start();
  return image;
}

std::vector<std::shared_ptr<ServedImage>> ServedImages::open_images() {
  std::vector<std::shared_ptr<ServedImage>> images;
  const std::lock_guard lock(mutex_);
  for (const auto& [root, weak] : open_images_) {
    if (auto image = weak.lock()) images.push_back(std::move(image));
  }
  return images;
}

void ServedImages::wait(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::unique_lock lock(waiting_);
  wake_.wait_for(lock, stop, time, [] { return false; });
}

void ServedImages::tend(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    for (const auto& image : open_images()) image->tend();
    write_stats();
    wait(stop, options_.tick);
  }
}

void ServedImages::hydrate(const std::stop_token& stop) {
  become_idle();
  while (!stop.stop_requested()) {
    bool did_something = false;
    for (const auto& image : open_images()) {
      if (!stop.stop_requested() && image->hydrate_some()) did_something = true;
    }
    if (!did_something) wait(stop, kHydratePause);
  }
}

void ServedImages::write_stats() {
  if (options_.stats_file.empty()) return;
  const image::ReadCounts& reads = source_.counts();
  const std::string text = to_text(json::object{{"requests", counts_.requests.load()},
                                                {"bytes", counts_.bytes.load()},
                                                {"storeReads", reads.store_reads.load()},
                                                {"storeBytes", reads.store_bytes.load()},
                                                {"storeChunks", reads.store_chunks.load()},
                                                {"cacheFileChunks", reads.cache_file_chunks.load()},
                                                {"memoryChunks", reads.memory_chunks.load()},
                                                {"sharedWaits", reads.shared_waits.load()},
                                                {"retries", reads.retries.load()},
                                                {"healedChunks", reads.healed_chunks.load()},
                                                {"failedChunks", reads.failed_chunks.load()},
                                                {"tracesRecorded", counts_.traces_recorded.load()},
                                                {"tracesReplayed", counts_.traces_replayed.load()},
                                                {"hydratedBytes", counts_.hydrated_bytes.load()}}) +
                           "\n";
  if (text == stats_written_) return;
  // Not synced: it is for whoever looks now.
  const std::string temporary = options_.stats_file.string() + ".new";
  std::ofstream(temporary) << text;
  if (std::rename(temporary.c_str(), options_.stats_file.c_str()) == 0) stats_written_ = text;
}

}  // namespace atelier::nbdkit_plugin
