// The chunk index at the size of a store of over 1 TiB: how long it takes to open, look-ups per second on one core, and
// the memory it takes beside the page cache. `index_bench [--folder FOLDER] [--chunks N] [--json]`.
//
// Fills an index of N chunks (by default 40 million; it takes minutes and about 100 bytes a chunk on the disk) in
// FOLDER, by default the temporary one, and removes it again. Prints one line a row, or with --json one object whose
// `rows` each have job, goal, figure, met and from.
//
// Ids are made again from their numbers where they are needed, so that the bench's own memory stays small and the same
// at all sizes. A process of its own fills the index: what it leaves in its heap would hide what the look-ups take.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "image/digest.h"
#include "image/file_io.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/store.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kSeed = 0x6174656c69657221;
constexpr std::uint64_t kPackEntries = 1000;
constexpr std::size_t kBatchIds = 64;
constexpr std::size_t kRoomIds = 1U << 16;  // made at once, off the clock
constexpr std::size_t kRoundsOfARun = 16;   // a run is about a million look-ups
constexpr int kRuns = 3;
constexpr std::uint64_t kChunksMax = 200'000'000;
constexpr double kOpenSecondsMax = 1;
constexpr double kLookUpsPerSecondMin = 500'000;
constexpr std::uint64_t kMemoryBytesMax = 64U << 20;
constexpr double kMiB = 1 << 20;

struct Arguments {
  std::filesystem::path folder = std::filesystem::temp_directory_path();
  std::uint64_t chunks = 40'000'000;
  bool json = false;
};

struct Row {
  std::string job, goal, figure;
  bool met = false;
  std::string from;
};

// SplitMix64: the number-th value of a sequence that looks random.
std::uint64_t random_value(std::uint64_t number) {
  std::uint64_t value = kSeed + (number + 1) * 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30U) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27U) * 0x94d049bb133111eb;
  return value ^ value >> 31U;
}

Digest id_of(std::uint64_t number) {
  std::array<std::uint64_t, 4> words{};
  for (std::uint64_t i = 0; i < words.size(); ++i) words.at(i) = random_value(number * words.size() + i);
  Digest id;
  std::memcpy(id.bytes.data(), words.data(), sizeof words);
  return id;
}

double seconds_by(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// A line of /proc/self/status that is given in kB, in bytes.
std::uint64_t own_memory(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) << 10U;
  }
  return 0;
}

Index::Options options_of_a_store() { return {.store_id = "index-bench", .map_bytes = StoreOptions{}.index_map_bytes}; }

// Gives the memory that the process had of its own before it closed the index.
Result<std::uint64_t> fill(const std::filesystem::path& folder, std::uint64_t chunks) {
  const auto index = TRY(Index::create(folder, options_of_a_store()));
  std::vector<PackEntry> entries;
  for (std::uint64_t first = 0; first < chunks; first += kPackEntries) {
    entries.resize(std::min(kPackEntries, chunks - first));
    std::uint32_t offset = 8;
    for (std::uint64_t i = 0; i < entries.size(); ++i) {
      entries[i] = {.id = id_of(first + i),
                    .offset = offset,
                    .stored_bytes = 16'000,
                    .plain_bytes = 32'000,
                    .codec = Codec::kZstd};
      offset += entries[i].stored_bytes;
    }
    // Names that no chunk has: counted from the other end.
    TRY(index->add_pack(id_of(UINT64_MAX / 8 - first / kPackEntries), entries));
  }
  TRY(index->checkpoint());
  return own_memory("RssAnon:");
}

// Runs fill() in a process of its own.
Result<std::uint64_t> fill_apart(const std::filesystem::path& folder, std::uint64_t chunks) {
  constexpr std::string_view kDoing = "start the process that fills the index";
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error(errno, kDoing));
  const FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail(errno_error(errno, kDoing));
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // who ends the bench ends this, too
    const Result<std::uint64_t> memory_bytes = fill(folder, chunks);
    if (!memory_bytes) fmt::print(stderr, "index_bench: {}\n", memory_bytes.error().message());
    const bool told =
        memory_bytes && ::write(writing.get(), &*memory_bytes, sizeof *memory_bytes) == sizeof *memory_bytes;
    ::_exit(told ? 0 : 1);
  }
  writing = FileDescriptor();
  std::uint64_t memory_bytes = 0;
  const bool told = ::read(reading.get(), &memory_bytes, sizeof memory_bytes) == sizeof memory_bytes;
  ::waitpid(child, nullptr, 0);
  if (!told) return fail(Code::kInternal, "The index could not be filled.");
  return memory_bytes;
}

// Reads the file once, so that the page cache has all of it; as it is there already, or page by page as the mapped file
// is read: the larger pieces of a file that is read ahead would make the look-ups faster than they are in a store.
Status warm(const std::filesystem::path& path) {
  const FileDescriptor file = TRY(open_file(AT_FDCWD, path.string(), O_RDONLY, 0, "read the index's file"));
  const int code = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM);
  if (code != 0) return fail(errno_error(code, "read the index's file"));
  std::vector<std::byte> room(1U << 20);
  for (std::uint64_t at = 0;;) {
    const std::size_t count = TRY(read_at(file.get(), at, room, "read the index's file"));
    if (count == 0) return {};
    at += count;
  }
}

// Makes the page cache forget the file, which nobody has open.
Status cool(const std::filesystem::path& path) {
  const FileDescriptor file = TRY(open_file(AT_FDCWD, path.string(), O_RDWR, 0, "open the index's file"));
  TRY(sync_file(file.get(), "sync the index's file"));  // pages to be written yet are not forgotten
  const int code = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (code != 0) return fail(errno_error(code, "drop the index's file from the page cache"));
  return {};
}

struct Speed {
  double by_processor = 0, by_clock = 0;  // look-ups per second
};

// Look-ups of ids that are all there, or none of which is. Its memory is taken, and touched, before the first one.
class LookUps {
 public:
  explicit LookUps(std::uint64_t chunks) : chunks_(chunks), ids_(kRoomIds, id_of(0)), found_(kBatchIds, true) {}

  // The best of several runs, each with ids of its own.
  Result<Speed> measure(Index& index, bool are_there) {
    Speed best;
    for (int run = 0; run < kRuns; ++run) {
      double processor_seconds = 0;
      double clock_seconds = 0;
      for (std::size_t round = 0; round < kRoundsOfARun; ++round) {
        choose(are_there);
        const double processor_began = seconds_by(CLOCK_THREAD_CPUTIME_ID);
        const double clock_began = seconds_by(CLOCK_MONOTONIC);
        TRY(look_all_up(index, are_there));
        clock_seconds += seconds_by(CLOCK_MONOTONIC) - clock_began;
        processor_seconds += seconds_by(CLOCK_THREAD_CPUTIME_ID) - processor_began;
      }
      const double count = kRoomIds * kRoundsOfARun;
      best.by_processor = std::max(best.by_processor, count / processor_seconds);
      best.by_clock = std::max(best.by_clock, count / clock_seconds);
    }
    return best;
  }

 private:
  void choose(bool are_there) {
    for (Digest& id : ids_) {
      const std::uint64_t number = random_value(UINT64_MAX / 2 + chosen_++) % chunks_;
      id = id_of(are_there ? number : chunks_ + number);
    }
  }

  Status look_all_up(Index& index, bool are_there) {
    for (std::size_t at = 0; at < ids_.size(); at += kBatchIds) {
      TRY(index.find_all(std::span(ids_).subspan(at, kBatchIds), found_));
      if (!std::ranges::all_of(found_, [&](bool is_found) { return is_found == are_there; })) {
        return fail(Code::kInternal, "The index gave a wrong answer.");
      }
    }
    return {};
  }

  const std::uint64_t chunks_;
  std::vector<Digest> ids_;
  std::vector<bool> found_;
  std::uint64_t chosen_ = 0;
};

class Bench {
 public:
  Bench(std::filesystem::path folder, std::uint64_t chunks)
      : folder_(std::move(folder)), chunks_(chunks), look_ups_(chunks) {}

  Status run() {
    const double began = seconds_by(CLOCK_MONOTONIC);
    writer_memory_bytes_ = TRY(fill_apart(folder_, chunks_));
    fill_seconds_ = seconds_by(CLOCK_MONOTONIC) - began;
    file_bytes_ = std::filesystem::file_size(data_file());
    TRY(look_up());
    return open_cold();
  }

  void print() const {
    fmt::print("{} chunks, {:.0f} MiB, filled in {:.1f} s\n", chunks_, static_cast<double>(file_bytes_) / kMiB,
               fill_seconds_);
    for (const Row& row : rows_) {
      fmt::print("{}: {} (goal {}, {}) {}\n", row.job, row.figure, row.goal, row.met ? "met" : "not met", row.from);
    }
  }

  void print_json() const {
    json::array rows;
    for (const Row& row : rows_) {
      rows.push_back(json::object{
          {"job", row.job}, {"goal", row.goal}, {"figure", row.figure}, {"met", row.met}, {"from", row.from}});
    }
    fmt::print("{}\n", to_text(json::object{{"chunks", chunks_},
                                            {"fileBytes", file_bytes_},
                                            {"fillSeconds", fill_seconds_},
                                            {"rows", std::move(rows)}}));
  }

 private:
  std::filesystem::path data_file() const { return folder_ / "data.mdb"; }

  Result<std::unique_ptr<Index>> open(double& seconds) const {
    const double began = seconds_by(CLOCK_MONOTONIC);
    if (!Index::is_trusted(folder_)) return fail(Code::kInternal, "The index is not trusted.");
    auto index = TRY(Index::open(folder_, options_of_a_store()));
    seconds = seconds_by(CLOCK_MONOTONIC) - began;
    return index;
  }

  Status look_up() {
    TRY(warm(data_file()));
    const std::uint64_t memory_before = own_memory("RssAnon:");
    const std::uint64_t page_tables_before = own_memory("VmPTE:");
    const auto index = TRY(open(warm_open_seconds_));
    for (const bool are_there : {true, false}) {
      const Speed speed = TRY(look_ups_.measure(*index, are_there));
      add(are_there ? "look-ups of chunks that are there" : "look-ups of chunks that are not there",
          "≥ 500,000/s a core", fmt::format("{:.0f}/s", speed.by_processor), speed.by_processor >= kLookUpsPerSecondMin,
          fmt::format(
              "batches of {}, file in the page cache, by processor time, best of {} runs; {:.0f}/s by the clock",
              kBatchIds, kRuns, speed.by_clock));
    }
    const std::uint64_t memory_after = own_memory("RssAnon:");
    const std::uint64_t memory_bytes = memory_after - std::min(memory_after, memory_before);
    const std::uint64_t most_bytes = std::max(memory_bytes, writer_memory_bytes_);
    const auto mib = [](std::uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB); };
    add("memory of its own", "≤ 64 MiB", mib(most_bytes), most_bytes <= kMemoryBytesMax,
        fmt::format(
            "RssAnon: {} more after the look-ups, {} the whole process that fills it; page tables of the mapped "
            "file: {}",
            mib(memory_bytes), mib(writer_memory_bytes_), mib(own_memory("VmPTE:") - page_tables_before)));
    return {};
  }

  Status open_cold() {
    TRY(cool(data_file()));
    double seconds = 0;
    TRY(open(seconds));
    add("open", "< 1 s", fmt::format("{:.4f} s", seconds), seconds < kOpenSecondsMax,
        fmt::format(
            "file dropped from the page cache; {:.4f} s when it was there. The file has {:.0f} MiB, {:.0f} bytes "
            "a chunk, filled in {:.0f} s by packs of {}",
            warm_open_seconds_, static_cast<double>(file_bytes_) / kMiB,
            static_cast<double>(file_bytes_) / static_cast<double>(chunks_), fill_seconds_, kPackEntries));
    return {};
  }

  void add(std::string_view what, std::string goal, std::string figure, bool met, std::string from) {
    const std::string size =
        chunks_ % 1'000'000 == 0 ? fmt::format("{} million", chunks_ / 1'000'000) : std::to_string(chunks_);
    rows_.push_back({.job = fmt::format("index of {} chunks: {}", size, what),
                     .goal = std::move(goal),
                     .figure = std::move(figure),
                     .met = met,
                     .from = std::move(from)});
  }

  const std::filesystem::path folder_;
  const std::uint64_t chunks_;
  LookUps look_ups_;
  double fill_seconds_ = 0;
  double warm_open_seconds_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t writer_memory_bytes_ = 0;
  std::vector<Row> rows_;
};

Result<Arguments> parse(std::span<char*> words) {
  Arguments arguments;
  bool is_right = true;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const std::string_view value = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "--json") {
      arguments.json = true;
      continue;
    }
    if (word == "--folder" && !value.empty()) {
      arguments.folder = value;
    } else if (word == "--chunks") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), arguments.chunks);
      is_right = is_right && error == std::errc{} && end == value.data() + value.size();
    } else {
      is_right = false;
    }
    ++i;
  }
  if (is_right && arguments.chunks > 0 && arguments.chunks <= kChunksMax) return arguments;
  return fail(Code::kInvalidArgument, "Usage: index_bench [--folder FOLDER] [--chunks N] [--json]");
}

Status run(const Arguments& arguments) {
  std::string pattern = (arguments.folder / "index-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail(errno_error(errno, "make a folder for the index"));
  Bench bench(pattern, arguments.chunks);
  const Status done = bench.run();
  std::error_code error;
  std::filesystem::remove_all(pattern, error);
  if (!done) return done;
  arguments.json ? bench.print_json() : bench.print();
  return {};
}

}  // namespace
}  // namespace atelier::image

int main(int count, char** words) {
  const auto arguments = atelier::image::parse({words, static_cast<std::size_t>(count)});
  const atelier::Status status = arguments ? atelier::image::run(*arguments) : atelier::fail(arguments.error());
  if (status) return 0;
  fmt::print(stderr, "index_bench: {}\n", status.error().message());
  return 1;
}
