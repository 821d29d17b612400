// Rules of image definitions and galleries that concern other rows.
#pragma once

#include <string_view>

#include "base/error.h"
#include "db/resources.h"

namespace atelier::gallery::definition {

// kConflict, reason "Conflict", target "properties.identifier", when another definition of the gallery has the same
// publisher, offer and sku (in any case).
Status check_identifier_is_free(db::Transaction& transaction, const db::Resource& definition);

}  // namespace atelier::gallery::definition

namespace atelier::gallery {

enum class Erased { kWasAbsent, kYes };

// A gallery or a definition. kConflict, reason "CannotDeleteResource", while something is below it.
Result<Erased> erase_empty(db::Transaction& transaction, std::string_view id);

}  // namespace atelier::gallery
