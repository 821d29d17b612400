#include "image/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>
#include <new>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "image/batch_reader.h"
#include "image/codec.h"
#include "image/file_io.h"
#include "image/geometry.h"
#include "image/image_record.h"
#include "image/ordered_work.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

constexpr unsigned kThreadsMax = 18;
constexpr std::uint64_t kWindowBytesMax = 64U << 20;
// Runs that are shorter go through the page cache, which joins them; each direct write is a request of its own.
constexpr std::size_t kDirectBytesMin = 128U << 10;
constexpr std::size_t kAlignment = 4096;

std::uint64_t whole_grains(std::uint64_t bytes) { return (bytes + kGrainBytes - 1) / kGrainBytes * kGrainBytes; }

// The file that becomes the disk. Writes go past the page cache where the file system can: a disk that has just been
// made durable does not need to fill the memory as well, and copying it there costs more than decoding it.
class DiskFile {
 public:
  static Result<DiskFile> create(const std::string& path) {
    DiskFile file;
    file.cached_ = TRY(open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644, "make the disk file"));
    // With larger pages a direct write and a cached one beside it could meet in a page.
    if (::sysconf(_SC_PAGESIZE) == static_cast<long>(kAlignment)) {
      auto direct = open_file(AT_FDCWD, path, O_WRONLY | O_DIRECT, 0, "open the disk file");
      if (direct) file.direct_ = std::move(*direct);
    }
    file.is_direct_ = std::make_unique<std::atomic<bool>>(file.direct_.get() >= 0);
    return file;
  }

  Status resize(std::uint64_t bytes) {
    if (::ftruncate(cached_.get(), static_cast<off_t>(bytes)) != 0)
      return fail(errno_error(errno, "size the disk file"));
    return {};
  }
  // Any thread. `offset` and the length are of whole grains, and `bytes` is aligned to one.
  Status write(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (bytes.size() >= kDirectBytesMin && is_direct_->load()) {
      const ssize_t count = ::pwrite(direct_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINVAL) is_direct_->store(false);  // it wants another alignment
      if (count < 0 && errno != EINVAL && errno != EINTR) return fail(errno_error(errno, "write the disk file"));
      if (count == static_cast<ssize_t>(bytes.size())) return {};
    }
    return write_at(cached_.get(), offset, bytes, "write the disk file");
  }
  // Lets the disk begin with what the page cache has, so that little is left for the end.
  void begin_writing_back(std::uint64_t offset, std::uint64_t bytes) const {
    ::sync_file_range(cached_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
  }
  Status sync() { return sync_file(cached_.get(), "make the disk file durable"); }

 private:
  FileDescriptor cached_, direct_;
  std::unique_ptr<std::atomic<bool>> is_direct_;
};

struct FreeAligned {
  void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{kAlignment}); }
};

// A stretch of the disk that is restored at once, with the memory for it.
class Window {
 public:
  Window(Store& store, std::uint64_t bytes_max)
      : store_(store),
        reader_(store),
        // The last chunk may reach beyond.
        room_(static_cast<std::byte*>(::operator new(bytes_max + kDataChunkBytesMax, std::align_val_t{kAlignment}))) {}

  void clear() {
    ids_.clear();
    places_.clear();
    data_bytes_ = 0;
  }
  void add(const Digest& id, std::uint64_t offset, std::uint32_t bytes) {
    ids_.push_back(id);
    places_.push_back({offset, bytes, data_bytes_});
    data_bytes_ += whole_grains(bytes);
  }
  std::uint64_t data_bytes() const { return data_bytes_; }

  Status restore(DiskFile& file) {
    if (ids_.empty()) return {};
    TRY(reader_.read(ids_));
    TRY(decode());
    return write(file);
  }

 private:
  struct Place {
    std::uint64_t offset = 0;  // on the disk
    std::uint32_t bytes = 0;
    std::uint64_t at = 0;  // in room_
  };

  Status decode() {
    chunks_.clear();
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      const ChunkAsStored& stored = reader_.chunks()[i];
      chunks_.push_back({ids_[i], stored.codec, stored.bytes, {room_.get() + places_[i].at, places_[i].bytes}});
    }
    if (decode_chunks(chunks_, wrong_) == 0) return {};
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (!wrong_[i]) continue;
      // Once more, on the store's own way: it knows where else to look, and what to say.
      const auto plain = TRY(store_.read_chunk(ids_[i]));
      if (plain.size() != chunks_[i].plain.size()) {
        return fail(Code::kDataLoss, fmt::format("Chunk {} has another length than its segment says.", ids_[i].hex()));
      }
      std::ranges::copy(plain, chunks_[i].plain.begin());
    }
    return {};
  }

  // Chunks that touch on the disk touch in memory, and are written at once.
  Status write(DiskFile& file) {
    // The disk's last grain may be a part of one.
    const Place& last = places_.back();
    std::fill(room_.get() + last.at + last.bytes, room_.get() + data_bytes_, std::byte{0});
    for (std::size_t first = 0; first < places_.size();) {
      const std::uint64_t offset = places_[first].offset;
      const std::uint64_t at = places_[first].at;
      std::uint64_t bytes = whole_grains(places_[first].bytes);
      std::size_t next = first + 1;
      for (; next < places_.size() && places_[next].offset == offset + bytes; ++next) {
        bytes += whole_grains(places_[next].bytes);
      }
      TRY(file.write(offset, {room_.get() + at, bytes}));
      first = next;
    }
    file.begin_writing_back(places_.front().offset, last.offset + last.bytes - places_.front().offset);
    return {};
  }

  Store& store_;
  BatchReader reader_;
  const std::unique_ptr<std::byte, FreeAligned> room_;
  std::vector<Digest> ids_;
  std::vector<Place> places_;
  std::uint64_t data_bytes_ = 0;
  std::vector<ChunkToDecode> chunks_;
  std::vector<bool> wrong_;
};

// Cuts the disk into windows and has them restored side by side.
class Restore {
 public:
  Restore(Store& store, DiskFile& file, const RestoreOptions& options, unsigned threads, TaskContext& task)
      : store_(store), file_(file), options_(options), task_(task), work_(threads, threads + 1) {}

  Status run(const Root& root) {
    progress_.phase = "Writing";
    progress_.bytes_total = root.disk_bytes;
    for (std::size_t i = 0; i < root.segments.size(); ++i) {
      const std::uint64_t bytes = segment_bytes(root.disk_bytes, i);
      const Segment segment = TRY(read_segment(store_, root.segments[i], bytes));
      std::uint64_t offset = i * kSegmentBytes;
      for (const SegmentEntry& entry : segment.entries) {
        if (!entry.is_hole()) TRY(add(entry, offset));
        offset += entry.bytes;
      }
    }
    TRY(hand_over(root.disk_bytes));
    while (!work_.empty()) TRY(await_oldest());
    return {};
  }

 private:
  using Done = std::pair<Status, std::unique_ptr<Window>>;

  Status add(const SegmentEntry& entry, std::uint64_t offset) {
    if (window_ == nullptr) window_ = empty_window();
    window_->add(entry.chunk, offset, entry.bytes);
    return window_->data_bytes() >= options_.window_bytes ? hand_over(offset + entry.bytes) : Status{};
  }

  // `end`: how far the disk is restored once the window is.
  Status hand_over(std::uint64_t end) {
    if (window_ == nullptr) return {};
    TRY(task_.check());
    while (work_.full()) TRY(await_oldest());
    ends_.push_back(end);
    work_.give([this, window = std::move(window_)]() mutable {
      Status restored = window->restore(file_);
      return Done{std::move(restored), std::move(window)};
    });
    return {};
  }

  Status await_oldest() {
    auto [restored, window] = work_.take();
    TRY(restored);
    window->clear();
    idle_.push_back(std::move(window));
    progress_.bytes_done = ends_.front();
    ends_.pop_front();
    task_.report(progress_);
    return {};
  }

  std::unique_ptr<Window> empty_window() {
    if (idle_.empty()) return std::make_unique<Window>(store_, options_.window_bytes);
    auto window = std::move(idle_.back());
    idle_.pop_back();
    return window;
  }

  Store& store_;
  DiskFile& file_;
  const RestoreOptions options_;
  TaskContext& task_;
  Progress progress_;
  std::unique_ptr<Window> window_;             // being filled
  std::vector<std::unique_ptr<Window>> idle_;  // their memory is used again
  std::deque<std::uint64_t> ends_;             // of the windows in work_
  OrderedWork<Done> work_;                     // the last member: its threads use the others
};

}  // namespace

Status restore_raw_file(Store& store, const Digest& root, const std::filesystem::path& path, TaskContext& task,
                        const RestoreOptions& options) {
  const unsigned threads = options.threads != 0 ? options.threads : std::thread::hardware_concurrency() + 2;
  if (options.window_bytes == 0 || options.window_bytes > kWindowBytesMax) {
    return fail(Code::kInvalidArgument, "The restore's options are out of their bounds.");
  }
  const auto record = TRY(find_image(store, root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  const Root tree = TRY(read_root(store, root));
  const std::filesystem::path target = std::filesystem::absolute(path);
  const std::filesystem::path part = target.string() + "." + new_uuid() + ".part";
  const auto write = [&]() -> Status {
    DiskFile file = TRY(DiskFile::create(part.string()));
    TRY(file.resize(whole_grains(tree.disk_bytes)));
    {
      Restore restore(store, file, options, std::min(threads, kThreadsMax), task);
      TRY(restore.run(tree));
    }
    if (tree.disk_bytes % kGrainBytes != 0) TRY(file.resize(tree.disk_bytes));
    task.report({.phase = "Writing", .bytes_done = tree.disk_bytes, .bytes_total = tree.disk_bytes});
    TRY(file.sync());
    if (::rename(part.c_str(), target.c_str()) != 0) return fail(errno_error(errno, "name the disk file"));
    return sync_folder(AT_FDCWD, target.parent_path().string(), "make the disk file's name durable");
  };
  const Status status = write();
  if (!status) ::unlink(part.c_str());
  return status;
}

}  // namespace atelier::image
