// What a journey needs besides its input: made by atelierd's main, outlives every operation.
#pragma once

#include <filesystem>

#include "catalog/regions.h"

namespace atelier::db {
class Database;
}
namespace atelier::ops {
class Runner;
}

namespace atelier::catalog {

struct Parts {
  db::Database& database;
  ops::Runner& runner;
  const Regions& regions;
  std::filesystem::path uploads;  // folder of uploaded disks, one sparse file each
};

}  // namespace atelier::catalog
