// The NoCloud seed: a small ISO image from which a generalized guest takes its name and its first user when it boots
// for the first time. https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::vm {

struct Seed {
  std::string instance_id;    // letters, digits and dashes; a guest that knows this id already does nothing
  std::string host_name;      // RFC 1123 label
  std::string user_name;      // ^[a-z_][a-z0-9_-]{0,31}$, not "root"
  std::string password_hash;  // crypt(3) text, "$6$…"
  std::vector<std::string> ssh_authorized_keys;  // one line each, at most 16
};

// kInvalidArgument unless it is a name that every Linux guest can make a user of; the message says the rule.
Status check_user_name(std::string_view name);
// A legal host name made of any text: "CS 101: Networks" gives "cs-101-networks"; "lab" when nothing is left.
std::string host_name_from(std::string_view text);

// The two files of the seed, all values checked and quoted. kInvalidArgument when a field breaks its rule.
Result<std::string> seed_meta_data(const Seed& seed);
Result<std::string> seed_user_data(const Seed& seed);

// Writes the ISO (label cidata), durable when it returns, replacing one that is there.
Status write_seed(const std::filesystem::path& iso, const Seed& seed);

}  // namespace atelier::vm
