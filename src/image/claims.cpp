#include "image/claims.h"

namespace atelier::image {

// Claims first and looks up then: the other way round, a pack that becomes indexed in between hides its chunks from
// both.
Status Claims::claim_new(Index& index, std::span<const Digest> ids, std::vector<bool>& is_new) {
  is_new.assign(ids.size(), false);
  std::vector<Digest> claimed;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      is_new[i] = ids_.insert(ids[i]).second;
      if (is_new[i]) claimed.push_back(ids[i]);
    }
  }
  std::vector<bool> found;
  TRY(index.find_all(claimed, found));
  std::vector<Digest> known;
  std::size_t next = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!is_new[i]) continue;
    if (found[next]) known.push_back(ids[i]);
    is_new[i] = !found[next++];
  }
  release(known);
  return {};
}

void Claims::release(std::span<const Digest> ids) {
  const std::lock_guard lock(mutex_);
  for (const Digest& id : ids) ids_.erase(id);
}

}  // namespace atelier::image
