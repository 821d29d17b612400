#include "image/pack_stream.h"

#include "image/index.h"
#include "image/quarantine.h"

namespace atelier::image {

PackStream::PackStream(Store& store, Claims& claims)
    : store_(store),
      // A generation that never is makes the commit look for everything again.
      begun_at_(store.index().generation().value_or(UINT64_MAX)),
      claims_(claims),
      filling_(std::make_unique<PackBuilder>(store.options().pack_bytes_max)) {
  for (std::thread& writer : writers_) {
    empty_.push(std::make_unique<PackBuilder>(store.options().pack_bytes_max));
    writer = std::thread([this] { write_packs(); });
  }
}

PackStream::~PackStream() {
  full_.close();
  empty_.close();
  join();
}

void PackStream::join() {
  for (std::thread& writer : writers_) {
    if (writer.joinable()) writer.join();
  }
}

Status PackStream::status() {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  return {};
}

Status PackStream::append(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored) {
  TRY(status());
  if (!filling_->has_room(stored.size())) {
    full_.push(std::move(filling_));
    auto next = empty_.pop();
    if (!next) {  // the writer failed and closed the queue
      filling_ = std::make_unique<PackBuilder>(store_.options().pack_bytes_max);
      return status();
    }
    filling_ = std::move(*next);
  }
  filling_->add(id, codec, plain_bytes, stored);
  stored_bytes_.fetch_add(stored.size(), std::memory_order_relaxed);
  return {};
}

Status PackStream::finish(std::span<const WholeSegment> segments) {
  if (!filling_->empty()) full_.push(std::move(filling_));
  full_.close();
  join();
  TRY(status());
  TRY(store_.index().remember_whole(segments, begun_at_));
  return store_.index().checkpoint();
}

void PackStream::write_packs() {
  while (auto builder = full_.pop()) {
    const Status written = write_pack(**builder);
    if (!written) {
      {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = written.error();
      }
      full_.close();
      empty_.close();
      return;
    }
    (*builder)->clear();
    empty_.push(std::move(*builder));
  }
}

Status PackStream::write_pack(PackBuilder& builder) {
  TRY(store_pack(store_, builder));
  std::vector<Digest> ids;
  ids.reserve(builder.entries().size());
  for (const PackEntry& entry : builder.entries()) ids.push_back(entry.id);
  claims_.release(ids);
  return {};
}

}  // namespace atelier::image
