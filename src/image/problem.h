// Something in a store that is not what it should be.
#pragma once

#include <string>

namespace atelier::image {

struct Problem {
  std::string object;  // "packs/ab/…", "images/…" or the like
  std::string what;    // a sentence

  auto operator<=>(const Problem&) const = default;
};

}  // namespace atelier::image
