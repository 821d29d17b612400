// For tests: a private folder with an empty database of either kind. The PostgreSQL server is this test program's own:
// started at the first use, on a unix socket in its own folder, ended with the program.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "db/database.h"

namespace atelier::db::testing {

// A new folder, deleted with its content at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Where an empty database of this kind is: a file in `folder`, or a new database of the private PostgreSQL server.
std::string new_database_url(Database::Backend backend, const TemporaryFolder& folder);

// The parameter's name in a test's name.
inline std::string backend_name(const ::testing::TestParamInfo<Database::Backend>& parameter) {
  return parameter.param == Database::Backend::kSqlite ? "Sqlite" : "Postgresql";
}

// Ends all connections to that database from the server's side, as a restart of it would. PostgreSQL only.
void cut_connections(const std::string& url);

}  // namespace atelier::db::testing
