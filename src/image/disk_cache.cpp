#include "image/disk_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.h"
#include "image/file_io.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kWriting = "write the cache file";
constexpr std::string_view kMagic = "ATCACHE1";
constexpr std::uint32_t kPageBytes = 4096;
constexpr std::uint32_t kRegionBytes = 4u << 20;
constexpr std::uint32_t kEntryBytes = 48;
constexpr std::uint32_t kEntriesMax = 1024;
constexpr std::uint32_t kTableBytes = kEntryBytes * kEntriesMax;
static_assert(kTableBytes % kPageBytes == 0);
static_assert((kRegionBytes - kTableBytes) / kPageBytes <= kEntriesMax, "every page of a region can have an entry");
constexpr std::uint32_t kCapacityMin = 1u << 20;  // a region with less room is left aside
constexpr std::uint32_t kRegionsMin = 2;
constexpr std::uint32_t kRegionsMax = 1u << 20;

std::uint64_t region_start(std::uint32_t index) { return kPageBytes + std::uint64_t{index} * kRegionBytes; }

std::uint32_t page_end(std::uint32_t offset) { return (offset + kPageBytes - 1) / kPageBytes * kPageBytes; }

std::uint32_t region_count(std::uint64_t bytes_max) {
  const std::uint64_t regions = bytes_max > kPageBytes ? (bytes_max - kPageBytes) / kRegionBytes : 0;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(regions, kRegionsMin, kRegionsMax));
}

}  // namespace

DiskCache::DiskCache(const DiskCacheOptions& options, FileDescriptor file)
    : options_(options), file_(std::move(file)), regions_(region_count(options.bytes_max)) {
  for (Region& region : regions_) region.capacity = kRegionBytes;
}

Result<std::unique_ptr<DiskCache>> DiskCache::open(const DiskCacheOptions& options) {
  constexpr std::string_view kDoing = "open the cache file";
  FileDescriptor file = TRY(open_file(AT_FDCWD, options.file.string(), O_RDWR | O_CREAT, 0600, kDoing));
  const auto deadline = Clock::now() + options.lock_wait;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(errno_error(errno, kDoing));
    if (Clock::now() >= deadline) return fail(Code::kConflict, "Another process uses the cache file.");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::unique_ptr<DiskCache> cache(new DiskCache(options, std::move(file)));
  TRY(cache->begin_file());
  TRY(cache->scan());
  return cache;
}

// A file that is not ours, or of another layout, begins anew; one that is longer than allowed is cut.
Status DiskCache::begin_file() {
  std::vector<std::byte> page;
  put_text(page, kMagic);
  page.resize(kPageBytes);
  std::vector<std::byte> found(kPageBytes);
  const std::size_t count = TRY(read_at(file_.get(), 0, found, "read the cache file"));
  const bool is_ours = count == kPageBytes && found == page;
  struct stat status{};
  if (::fstat(file_.get(), &status) != 0) return fail(errno_error(errno, "look at the cache file"));
  const std::uint64_t bytes_max = is_ours ? region_start(static_cast<std::uint32_t>(regions_.size())) : 0;
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max &&
      ::ftruncate(file_.get(), static_cast<off_t>(bytes_max)) != 0) {
    return fail(errno_error(errno, "shorten the cache file"));
  }
  return is_ours ? Status{} : write_at(file_.get(), 0, page, kWriting);
}

Status DiskCache::scan() {
  std::vector<std::byte> table(kTableBytes);
  for (std::uint32_t i = 0; i < regions_.size(); ++i) {
    const std::size_t count = TRY(read_at(file_.get(), region_start(i), table, "read the cache file"));
    if (count == 0) break;
    scan_region(i, std::span(table).first(count));
  }
  // The region that was being filled is filled on.
  for (std::uint32_t i = 0; i < regions_.size(); ++i) {
    if (regions_[i].filling > 0 && regions_[i].filling == fillings_) active_ = i;
  }
  return {};
}

void DiskCache::scan_region(std::uint32_t index, std::span<const std::byte> table) {
  Region& region = regions_[index];
  for (std::uint32_t i = 0; std::size_t{i + 1} * kEntryBytes <= table.size(); ++i) {
    WireReader entry(table.subspan(std::size_t{i} * kEntryBytes, kEntryBytes));
    const Digest id = entry.digest();
    Place place{.region = index};
    place.offset = entry.number<std::uint32_t>();
    place.bytes = entry.number<std::uint32_t>();
    place.filling = entry.number<std::uint64_t>();
    // A number that only damage can give must not keep all others from growing.
    const bool is_legal = place.filling > 0 && place.filling < (1ull << 48) && place.offset >= kTableBytes &&
                          place.offset % kPageBytes == 0 && place.offset < kRegionBytes && place.bytes > 0 &&
                          place.bytes <= kRegionBytes - place.offset;
    if (i == 0) {
      if (!is_legal) return;
      region.filling = place.filling;
      region.end = kTableBytes;
      fillings_ = std::max(fillings_, place.filling);
    }
    if (!is_legal || place.filling != region.filling) continue;
    region.entries = i + 1;
    region.end = std::max(region.end, page_end(place.offset + place.bytes));
    if (places_.emplace(id, place).second) region.ids.push_back(id);
  }
}

std::optional<std::vector<std::byte>> DiskCache::find(const Digest& id) {
  Place place;
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(id);
    if (found == places_.end()) return std::nullopt;
    place = found->second;
    regions_[place.region].was_used = true;
  }
  std::vector<std::byte> bytes(place.bytes);
  const auto count = read_at(file_.get(), region_start(place.region) + place.offset, bytes, "read the cache file");
  if (count && *count == bytes.size() && sha256(bytes) == id) return bytes;
  forget(id, place);  // torn, damaged, or thrown out while it was read
  return std::nullopt;
}

bool DiskCache::contains(const Digest& id) const {
  const std::lock_guard lock(mutex_);
  return places_.contains(id);
}

std::size_t DiskCache::size() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

void DiskCache::forget(const Digest& id, const Place& place) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(id);
  if (found != places_.end() && found->second == place) places_.erase(found);
}

void DiskCache::insert(const Digest& id, std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > kRegionBytes - kTableBytes) return;
  std::optional<Reservation> reservation;
  {
    const std::lock_guard lock(mutex_);
    if (places_.contains(id)) return;
    reservation = reserve(static_cast<std::uint32_t>(bytes.size()));
  }
  if (!reservation) return;
  if (const Status written = write(id, *reservation, bytes); !written) {
    give_up(*reservation, written.error());
    return;
  }
  const Place& place = reservation->place;
  const std::lock_guard lock(mutex_);
  Region& region = regions_[place.region];
  // Thrown away in the meantime: then somebody else's chunk may lie there, or this one where it is not looked for.
  if (region.filling != place.filling) return;
  if (places_.emplace(id, place).second) region.ids.push_back(id);
}

// Under mutex_.
std::optional<DiskCache::Reservation> DiskCache::reserve(std::uint32_t bytes) {
  const auto time = Clock::now();
  if (time < may_write_at_) return std::nullopt;
  const auto has_room = [&] {
    const Region& region = regions_[*active_];
    return region.entries < kEntriesMax && region.end + bytes <= region.capacity;
  };
  if (!active_ || !has_room()) {
    if (!open_next_region(time) || !has_room()) return std::nullopt;
  }
  Region& region = regions_[*active_];
  const Reservation reservation{{.region = *active_, .offset = region.end, .bytes = bytes, .filling = region.filling},
                                region.entries};
  region.end = page_end(region.end + bytes);
  ++region.entries;
  return reservation;
}

// Under mutex_. A region that was never filled, or else the one whose turn it is.
bool DiskCache::open_next_region(Clock::time_point time) {
  const auto previous = active_;
  active_.reset();
  if (time >= may_grow_at_) {
    const auto fresh = std::ranges::find(regions_, std::uint64_t{0}, &Region::filling);
    if (fresh != regions_.end()) active_ = static_cast<std::uint32_t>(fresh - regions_.begin());
  }
  for (std::size_t step = 0; !active_ && step < 2 * regions_.size(); ++step) {
    const std::uint32_t at = hand_;
    hand_ = static_cast<std::uint32_t>((hand_ + 1) % regions_.size());
    if (at == previous || regions_[at].filling == 0 || regions_[at].capacity < kCapacityMin) continue;
    if (!std::exchange(regions_[at].was_used, false)) active_ = at;
  }
  if (!active_) return false;
  empty_region(regions_[*active_]);
  return true;
}

// Under mutex_.
void DiskCache::empty_region(Region& region) {
  const auto index = static_cast<std::uint32_t>(&region - regions_.data());
  for (const Digest& id : region.ids) {
    const auto found = places_.find(id);
    if (found != places_.end() && found->second.region == index) places_.erase(found);
  }
  region.ids.clear();
  region.filling = ++fillings_;
  region.entries = 0;
  region.end = kTableBytes;
  region.was_used = false;
}

Status DiskCache::write(const Digest& id, const Reservation& reservation, std::span<const std::byte> bytes) const {
  const Place& place = reservation.place;
  const std::uint64_t start = region_start(place.region);
  TRY(write_at(file_.get(), start + place.offset, bytes, kWriting));
  std::vector<std::byte> entry;
  entry.reserve(kEntryBytes);
  put_digest(entry, id);
  put_number(entry, place.offset);
  put_number(entry, place.bytes);
  put_number(entry, place.filling);
  return write_at(file_.get(), start + std::uint64_t{reservation.entry} * kEntryBytes, entry, kWriting);
}

// The disk is full or fails. What the file holds stays of use; when it cannot grow, regions it has are filled again.
void DiskCache::give_up(const Reservation& reservation, const Error& error) {
  const Place& place = reservation.place;
  const std::lock_guard lock(mutex_);
  const auto time = Clock::now();
  if (regions_[place.region].filling == place.filling) {
    Region& region = regions_[place.region];
    region.capacity = std::min(region.capacity, place.offset);
    if (active_ == place.region) active_.reset();
  }
  const bool could_grow = time >= may_grow_at_;
  (could_grow ? may_grow_at_ : may_write_at_) = time + options_.pause_on_error;
  log::warning("chunk cache: {}; it goes on {}", error.message(),
               could_grow ? "without growing" : "without new chunks");
}

}  // namespace atelier::image
