// The schema, as the list of steps that made it what it is.
#pragma once

#include "base/error.h"

namespace atelier::db {

class Transaction;

// Brings the schema up to date, inside a write transaction. Nothing to do when it is. kFailedPrecondition when it is
// newer than this program.
Status migrate(Transaction& transaction);

}  // namespace atelier::db
