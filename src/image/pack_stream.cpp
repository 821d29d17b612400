#include "image/pack_stream.h"

#include "image/index.h"

namespace atelier::image {

PackStream::PackStream(Store& store, Claims& claims)
    : store_(store), claims_(claims), filling_(std::make_unique<PackBuilder>(store.options().pack_bytes_max)) {
  empty_.push(std::make_unique<PackBuilder>(store.options().pack_bytes_max));
  writer_ = std::thread([this] { write_packs(); });
}

PackStream::~PackStream() {
  full_.close();
  empty_.close();
  if (writer_.joinable()) writer_.join();
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

Status PackStream::finish() {
  if (!filling_->empty()) full_.push(std::move(filling_));
  full_.close();
  if (writer_.joinable()) writer_.join();
  TRY(status());
  return store_.index().checkpoint();
}

void PackStream::write_packs() {
  while (auto builder = full_.pop()) {
    const Status written = write_pack(**builder);
    if (!written) {
      {
        const std::lock_guard lock(mutex_);
        error_ = written.error();
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
  const Digest pack = builder.seal();
  const Status put = store_.bucket().put(pack_name(pack), builder.bytes());
  // The very same pack is there and durable: an earlier attempt at this image got so far.
  if (!put && put.error().code() != Code::kAlreadyExists) return put;
  TRY(store_.index().add_pack(pack, builder.entries()));
  std::vector<Digest> ids;
  ids.reserve(builder.entries().size());
  for (const PackEntry& entry : builder.entries()) ids.push_back(entry.id);
  claims_.release(ids);
  return {};
}

}  // namespace atelier::image
