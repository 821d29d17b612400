// The images of one store as the plugin serves them: one for all connections to it, with what makes reading it quick.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "image/boot_trace.h"
#include "image/chunk_source.h"
#include "image/digest.h"
#include "image/image_reader.h"
#include "image/read_ahead.h"
#include "image/store.h"

namespace atelier::nbdkit_plugin {

struct ServeOptions {
  image::ChunkSourceOptions chunks;
  image::ReadOptions reads;
  image::ReadAheadOptions read_ahead;
  image::TraceOptions trace;
  bool uses_traces = true;                   // record and replay
  bool hydrates = false;                     // fill the cache file with open images, once they have booted
  std::uint64_t hydrate_bytes = 2ull << 30;  // at most, of each image
  std::filesystem::path stats_file;          // JSON, replaced every tick while something changes; empty: none
  std::chrono::milliseconds tick{250};
};

// What all images count together, beside the chunk source's own counts.
struct ServeCounts {
  std::atomic<std::uint64_t> requests = 0, bytes = 0;
  std::atomic<std::uint64_t> traces_recorded = 0, traces_replayed = 0, hydrated_bytes = 0;
};

// Thread-safe.
class ServedImage {
 public:
  ServedImage(std::shared_ptr<image::ImageReader> reader, const image::Digest& root, image::ChunkSource& source,
              const ServeOptions& options, std::filesystem::path store_folder, ServeCounts& counts);
  // Keeps the trace of a boot that was ended early.
  ~ServedImage();
  ServedImage(const ServedImage&) = delete;
  ServedImage& operator=(const ServedImage&) = delete;

  // Takes the image's trace, or begins one. Once, before anything is read.
  void prepare();
  // Begins to read ahead: once, when it is sure that this is the one to be served.
  void start();
  std::uint64_t disk_bytes() const { return reader_->disk_bytes(); }
  Status read(std::uint64_t offset, std::span<std::byte> into);
  Result<std::vector<image::Extent>> extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max);

  // Keeps the trace when the boot is over. Called now and then.
  void tend();
  // Brings the next piece of the image into the cache file. False when there is nothing to do (yet).
  bool hydrate_some();

 private:
  void keep_trace();

  const std::shared_ptr<image::ImageReader> reader_;
  const image::Digest root_;
  image::ChunkSource& source_;
  const ServeOptions& options_;
  const std::filesystem::path store_folder_;
  ServeCounts& counts_;
  const std::shared_ptr<image::ReadAhead> read_ahead_;
  const std::chrono::steady_clock::time_point opened_ = std::chrono::steady_clock::now();
  std::unique_ptr<image::TraceRecorder> recorder_;  // none when there is a trace
  std::atomic<bool> is_recording_{false};
  // A guest that boots hardly asks where holes are. Who copies a disk does, and its reads are no boot.
  std::atomic<std::uint64_t> extents_bytes_{0};
  bool has_trace_ = false;
  std::atomic<unsigned> reads_under_way_{0};
  std::uint64_t hydrated_to_ = 0;  // of the one thread that hydrates
};

// Thread-safe.
class ServedImages {
 public:
  static Result<std::unique_ptr<ServedImages>> open(const std::filesystem::path& store_folder,
                                                    const ServeOptions& options);
  ~ServedImages();
  ServedImages(const ServedImages&) = delete;
  ServedImages& operator=(const ServedImages&) = delete;

  // The image that an export name (a root in hexadecimal) means; also one committed after this was opened. kNotFound
  // for a name that is no image's. Shared: the last connection that closes lets it go.
  Result<std::shared_ptr<ServedImage>> find(std::string_view export_name);

 private:
  ServedImages(std::unique_ptr<image::Store> store, std::filesystem::path store_folder, const ServeOptions& options);
  std::vector<std::shared_ptr<ServedImage>> open_images();
  void tend(const std::stop_token& stop);
  void hydrate(const std::stop_token& stop);
  void wait(const std::stop_token& stop, std::chrono::milliseconds time);
  void write_stats();

  const std::unique_ptr<image::Store> store_;
  const std::filesystem::path store_folder_;
  const ServeOptions options_;
  ServeCounts counts_;
  image::ChunkSource source_;
  std::mutex mutex_;
  std::map<image::Digest, std::weak_ptr<ServedImage>> open_images_;  // guarded by mutex_
  std::mutex waiting_;
  std::condition_variable_any wake_;
  std::string stats_written_;  // of the tending thread
  std::jthread tending_;
  std::jthread hydrating_;
};

}  // namespace atelier::nbdkit_plugin
