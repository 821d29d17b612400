// What this machine can do at most: the limits that the engine's speed is stated against. Reads up to 512 MiB of
// DATA_FILE, so that compression meets real bytes, and writes one file beside it or in FOLDER, which it removes again.
//
// Prints one line per limit, or with --json one object: name -> bytes of plain data per second. "…_1" is one core, by
// its processor time, so that a busy machine hardly disturbs it; "…_all" is all cores at once, by the clock. The best
// of several runs each.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "image/codec.h"
#include "image/digest.h"
#include "image/file_io.h"

namespace atelier::image {
namespace {

constexpr std::size_t kDataBytesMax = 512U << 20;
constexpr std::size_t kChunkBytes = 32U << 10;  // near the engine's mean
constexpr std::size_t kBatchChunks = 16;
constexpr std::size_t kWriteBytes = 4U << 20;
constexpr int kRuns = 3;
constexpr double kNever = 1e300;

using Bytes = std::span<const std::byte>;

struct Options {
  std::filesystem::path data, folder;
  bool json = false;
};

struct Figure {
  std::string name;
  double bytes_per_second = 0;
};

struct AlignedMemory {
  explicit AlignedMemory(std::size_t bytes)
      : bytes_(bytes), memory_(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{4096}))) {}
  ~AlignedMemory() { ::operator delete(memory_, std::align_val_t{4096}); }
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;
  std::span<std::byte> span() { return {memory_, bytes_}; }

 private:
  const std::size_t bytes_;
  std::byte* const memory_;
};

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// The data in chunks, both forms.
class Chunks {
 public:
  explicit Chunks(Bytes data) {
    for (std::size_t at = 0; at + kChunkBytes <= data.size(); at += kChunkBytes) {
      plain_.push_back(data.subspan(at, kChunkBytes));
    }
    stored_.resize(plain_.size());
    const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::jthread> running;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      running.emplace_back([this, thread, threads] {
        for (std::size_t i = thread; i < plain_.size(); i += threads) stored_[i] = encode_chunk(plain_[i]);
      });
    }
  }
  std::span<const Bytes> plain() const { return plain_; }
  std::span<const StoredChunk> stored() const { return stored_; }
  double share_stored() const {
    double bytes = 0;
    for (const StoredChunk& chunk : stored_) bytes += static_cast<double>(chunk.bytes.size());
    return bytes / static_cast<double>(plain_.size() * kChunkBytes);
  }

 private:
  std::vector<Bytes> plain_;
  std::vector<StoredChunk> stored_;
};

class Measurement {
 public:
  explicit Measurement(const Chunks& chunks) : chunks_(chunks) {}

  // `work(first, count)` does chunks [first, first + count), batches of kBatchChunks; every thread its own.
  void chunks(const std::string& name, const std::function<void(std::size_t, std::size_t)>& work) {
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t batches = chunks_.plain().size() / kBatchChunks;
    const auto batch = [&](std::size_t number) { work(number * kBatchChunks, kBatchChunks); };
    double best_one = kNever;
    double best_all = kNever;
    for (int run = 0; run < kRuns; ++run) {
      const double begin = processor_seconds();
      for (std::size_t at = 0; at < batches / cores; ++at) batch(at);
      best_one = std::min(best_one, processor_seconds() - begin);
      std::atomic<std::size_t> next{0};
      best_all = std::min(best_all, seconds_of([&] {
                            std::vector<std::jthread> running;
                            for (std::size_t i = 0; i < cores; ++i) {
                              running.emplace_back([&] {
                                for (std::size_t at = next++; at < batches; at = next++) batch(at);
                              });
                            }
                          }));
    }
    const double batch_bytes = kBatchChunks * kChunkBytes;
    add(name + "_1", static_cast<double>(batches / cores) * batch_bytes / best_one);
    add(name + "_all", static_cast<double>(batches) * batch_bytes / best_all);
  }

  void once(const std::string& name, std::size_t bytes, int runs, const std::function<void()>& work) {
    double best = kNever;
    for (int run = 0; run < runs; ++run) best = std::min(best, seconds_of(work));
    add(name, static_cast<double>(bytes) / best);
  }

  void add(const std::string& name, double bytes_per_second) { figures_.push_back({name, bytes_per_second}); }
  const std::vector<Figure>& figures() const { return figures_; }

 private:
  const Chunks& chunks_;
  std::vector<Figure> figures_;
};

void measure_hashing(Measurement& measurement, const Chunks& chunks) {
  measurement.chunks("sha256_openssl_32k", [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) sha256(chunks.plain()[i]);
  });
  // The chunks lie back to back: a batch is one block of 512 KiB.
  measurement.chunks("sha256_openssl_512k", [&](std::size_t first, std::size_t count) {
    sha256({chunks.plain()[first].data(), count * kChunkBytes});
  });
  measurement.chunks("sha256_each_32k", [&](std::size_t first, std::size_t count) {
    std::array<Digest, kBatchChunks> digests;
    sha256_each(chunks.plain().subspan(first, count), std::span(digests).first(count));
  });
}

void measure_codec(Measurement& measurement, const Chunks& chunks) {
  const auto compress_all = [&](std::size_t first, std::size_t count) {
    thread_local std::vector<std::byte> room(compress_bound(kChunkBytes));
    for (std::size_t i = first; i < first + count; ++i) compress(chunks.plain()[i], room);
  };
  const auto hash_all = [&](std::size_t first, std::size_t count) {
    std::array<Digest, kBatchChunks> digests;
    sha256_each(chunks.plain().subspan(first, count), std::span(digests).first(count));
  };
  const auto decode_all = [&](std::size_t first, std::size_t count, bool check) {
    thread_local std::vector<std::byte> room(kBatchChunks * kChunkBytes);
    thread_local std::vector<bool> wrong;
    std::array<ChunkToDecode, kBatchChunks> batch;
    for (std::size_t i = 0; i < count; ++i) {
      const StoredChunk& chunk = chunks.stored()[first + i];
      batch[i] = {.id = chunk.id,
                  .codec = chunk.codec,
                  .stored = chunk.bytes,
                  .plain = std::span(room).subspan(i * kChunkBytes, kChunkBytes)};
      if (!check) CHECK(decode_unchecked(batch[i].codec, batch[i].stored, batch[i].plain));
    }
    if (check) CHECK(decode_chunks(std::span(batch).first(count), wrong) == 0);
  };
  measurement.chunks("zstd1_compress_32k", compress_all);
  measurement.chunks("hash_and_compress_32k", [&](std::size_t first, std::size_t count) {
    hash_all(first, count);
    compress_all(first, count);
  });
  measurement.chunks("zstd1_decompress_32k",
                     [&](std::size_t first, std::size_t count) { decode_all(first, count, false); });
  measurement.chunks("decompress_and_hash_32k",
                     [&](std::size_t first, std::size_t count) { decode_all(first, count, true); });
}

void measure_memory(Measurement& measurement, const Chunks& chunks) {
  measurement.chunks("memcpy_32k", [&](std::size_t first, std::size_t count) {
    thread_local std::vector<std::byte> room(kBatchChunks * kChunkBytes);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(room.data() + i * kChunkBytes, chunks.plain()[first + i].data(), kChunkBytes);
    }
  });
}

Status measure_files(Measurement& measurement, const Options& options, Bytes data) {
  const FileDescriptor file = TRY(open_file(AT_FDCWD, options.data.string(), O_RDONLY, 0, "open the data file"));
  AlignedMemory room(kWriteBytes);
  measurement.once("page_cache_read", data.size(), kRuns, [&] {
    for (std::size_t at = 0; at < data.size(); at += kWriteBytes) {
      CHECK(read_at(file.get(), at, room.span().first(std::min(kWriteBytes, data.size() - at)), "read").has_value());
    }
  });
  const std::filesystem::path path = options.folder / ("limits." + std::to_string(::getpid()) + ".tmp");
  const std::size_t bytes = data.size() / kWriteBytes * kWriteBytes;
  for (const auto& [name, flags] : {std::pair{"file_write_and_sync", 0}, {"file_write_direct_and_sync", O_DIRECT}}) {
    Status status;
    measurement.once(name, bytes, 3, [&] {
      const auto write = [&]() -> Status {
        const auto out = TRY(open_file(AT_FDCWD, path.string(), O_WRONLY | O_CREAT | O_TRUNC | flags, 0600, "make it"));
        for (std::size_t at = 0; at < bytes; at += kWriteBytes) {
          std::memcpy(room.span().data(), data.data() + at, kWriteBytes);
          TRY(write_all(out.get(), room.span(), "write"));
        }
        return sync_file(out.get(), "sync");
      };
      status = write();
      ::unlink(path.c_str());
    });
    if (!status && flags == 0) return status;
  }
  return {};
}

Result<Options> parse(std::span<char*> arguments) {
  Options options;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--json") {
      options.json = true;
    } else if (argument == "--folder" && i + 1 < arguments.size()) {
      options.folder = arguments[++i];
    } else {
      options.data = argument;
    }
  }
  if (options.data.empty()) return fail(Code::kInvalidArgument, "Usage: limits DATA_FILE [--folder FOLDER] [--json]");
  if (options.folder.empty()) options.folder = std::filesystem::absolute(options.data).parent_path();
  return options;
}

// The file's bytes that are no hole, up to the bound.
Result<std::vector<std::byte>> read_data(const std::filesystem::path& path) {
  const FileDescriptor file = TRY(open_file(AT_FDCWD, path.string(), O_RDONLY, 0, "open the data file"));
  std::vector<std::byte> data;
  std::vector<std::byte> chunk(kChunkBytes);
  for (std::uint64_t at = 0; data.size() < kDataBytesMax; at += kChunkBytes) {
    const std::size_t count = TRY(read_at(file.get(), at, chunk, "read the data file"));
    if (count < kChunkBytes) break;
    if (std::ranges::any_of(chunk, [](std::byte b) { return b != std::byte{0}; })) {
      data.insert(data.end(), chunk.begin(), chunk.end());
    }
  }
  if (data.size() < kBatchChunks * kChunkBytes * 16) return fail(Code::kInvalidArgument, "The data file is too short.");
  return data;
}

Status run(const Options& options) {
  const std::vector<std::byte> data = TRY(read_data(options.data));
  const Chunks chunks(data);
  Measurement measurement(chunks);
  measure_hashing(measurement, chunks);
  measure_codec(measurement, chunks);
  measure_memory(measurement, chunks);
  TRY(measure_files(measurement, options, data));
  if (options.json) {
    json::object object{{"cores", std::thread::hardware_concurrency()},
                        {"dataBytes", data.size()},
                        {"shareStored", chunks.share_stored()}};
    for (const Figure& figure : measurement.figures()) object[figure.name] = figure.bytes_per_second;
    fmt::print("{}\n", to_text(object));
  } else {
    fmt::print("{} cores, {} MiB of data, stored in {:.1f} %\n", std::thread::hardware_concurrency(),
               data.size() >> 20U, 100 * chunks.share_stored());
    for (const Figure& figure : measurement.figures()) {
      fmt::print("{:28} {:7.2f} GB/s\n", figure.name, figure.bytes_per_second / 1e9);
    }
  }
  return {};
}

}  // namespace
}  // namespace atelier::image

int main(int count, char** arguments) {
  const auto options = atelier::image::parse({arguments, static_cast<std::size_t>(count)});
  const atelier::Status status = options ? atelier::image::run(*options) : atelier::fail(options.error());
  if (status) return 0;
  fmt::print(stderr, "limits: {}\n", status.error().message());
  return 1;
}
