#include "image/pack_stream.h"

#include <algorithm>
#include <string>

#include "base/log.h"
#include "base/text.h"
#include "image/geometry.h"
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

// Makes the pack durable under a name of its own. When the very same pack is there, an earlier attempt at this image
// got so far; when its name is taken by a file that is damaged, a chunk of random bytes more gives it another name.
Result<Digest> PackStream::put_pack(PackBuilder& builder) {
  for (;;) {
    const Digest pack = builder.seal();
    const std::string name = pack_name(pack);
    const Status put = store_.bucket().put(name, builder.bytes());
    if (put) return pack;
    if (put.error().code() != Code::kAlreadyExists) return fail(put.error());
    const auto there = get_all(store_.bucket(), name, 2 * kPackBytesMax);
    if (there && std::ranges::equal(*there, builder.bytes())) return pack;
    if (there || there.error().code() != Code::kNotFound) {
      log::error("store: {} is damaged; what it should hold is stored again", name);
      builder.unseal();
      const std::string salt = random_bytes(16);
      const auto bytes = std::as_bytes(std::span(salt));
      builder.add(sha256(bytes), Codec::kRaw, static_cast<std::uint32_t>(bytes.size()), bytes);
      continue;
    }
    builder.unseal();  // purged in between
  }
}

Status PackStream::write_pack(PackBuilder& builder) {
  for (;;) {
    const Digest pack = TRY(put_pack(builder));
    const Status adopted = adopt_pack(store_, pack, builder.entries());
    if (adopted) break;
    if (adopted.error().code() != Code::kNotFound) return adopted;
    builder.unseal();  // a purge took it in between
  }
  std::vector<Digest> ids;
  ids.reserve(builder.entries().size());
  for (const PackEntry& entry : builder.entries()) ids.push_back(entry.id);
  claims_.release(ids);
  return {};
}

}  // namespace atelier::image
