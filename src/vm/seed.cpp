#include "vm/seed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "base/text.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

constexpr std::size_t kLabelMax = 63;  // of a host name, RFC 1123
constexpr std::size_t kKeysMax = 16;
constexpr std::size_t kKeyBytesMax = 8192;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

// A YAML double-quoted scalar.
std::string yaml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Status check_host_name(std::string_view name) {
  const bool legal = !name.empty() && name.size() <= kLabelMax && name.front() != '-' && name.back() != '-' &&
                     std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
  if (!legal) return fail(Code::kInvalidArgument, "A host name has 1 to 63 letters, digits and inner dashes.");
  return {};
}

Status check_instance_id(std::string_view id) {
  const bool legal = !id.empty() && id.size() <= 128 &&
                     std::ranges::all_of(id, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
  if (!legal) return fail(Code::kInvalidArgument, "An instance id has 1 to 128 letters, digits and dashes.");
  return {};
}

// crypt(5): "$id$…" of a small alphabet; the text never holds a quote, colon or white space.
Status check_password_hash(std::string_view hash) {
  const bool legal =
      hash.size() >= 8 && hash.size() <= 256 && hash.front() == '$' && std::ranges::all_of(hash, [](char c) {
        return is_letter(c) || is_digit(c) || std::string_view("./$=,").contains(c);
      });
  if (!legal) return fail(Code::kInvalidArgument, "The password hash is not in the form of crypt(5).");
  return {};
}

Status check_keys(const std::vector<std::string>& keys) {
  if (keys.size() > kKeysMax) return fail(Code::kInvalidArgument, fmt::format("At most {} ssh keys.", kKeysMax));
  for (const std::string& key : keys) {
    const bool legal = !key.empty() && key.size() <= kKeyBytesMax && is_lower(key.front()) &&
                       std::ranges::all_of(key, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
    if (!legal) return fail(Code::kInvalidArgument, "An ssh key must be one line, as in authorized_keys.");
  }
  return {};
}

Status write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return fail(Code::kResourceExhausted, "The seed's files cannot be written.");
  return {};
}

Status make_durable(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return fail(errno_error(errno, "open the seed"));
  const int failed = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  if (failed != 0) return fail(errno_error(why, "make the seed durable"));
  return {};
}

Status build_iso(const std::filesystem::path& folder, const std::filesystem::path& iso, const Seed& seed) {
  const std::string meta_data = TRY(seed_meta_data(seed));
  const std::string user_data = TRY(seed_user_data(seed));
  TRY(write_file(folder / "meta-data", meta_data));
  TRY(write_file(folder / "user-data", user_data));
  const std::filesystem::path part = iso.string() + ".part";
  TRY_DURING(run_ok({.arguments = {"genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output",
                                   part.string(), (folder / "meta-data").string(), (folder / "user-data").string()},
                     .confinement = {}}),
             "make the seed");
  std::error_code error;
  std::filesystem::permissions(part, std::filesystem::perms(0640), error);  // it holds a password's hash
  TRY(make_durable(part, O_RDWR));
  if (::rename(part.c_str(), iso.c_str()) != 0) return fail(errno_error(errno, "name the seed"));
  return make_durable(iso.parent_path(), O_RDONLY | O_DIRECTORY);
}

}  // namespace

Status check_user_name(std::string_view name) {
  constexpr std::size_t kNameMax = 32;
  const bool legal =
      !name.empty() && name.size() <= kNameMax && (is_lower(name.front()) || name.front() == '_') &&
      std::ranges::all_of(name, [](char c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-'; });
  if (!legal) {
    return fail(
        Code::kInvalidArgument,
        "The user name must have 1 to 32 lower-case letters, digits, '_' and '-', and begin with a letter or '_'.");
  }
  if (name == "root") return fail(Code::kInvalidArgument, "The user name 'root' is reserved. Choose another one.");
  return {};
}

std::string host_name_from(std::string_view text) {
  std::string name;
  for (const char c : to_lower(text)) {
    if (is_lower(c) || is_digit(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
    if (name.size() == kLabelMax) break;
  }
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "lab" : name;
}

Result<std::string> seed_meta_data(const Seed& seed) {
  TRY(check_instance_id(seed.instance_id));
  TRY(check_host_name(seed.host_name));
  return fmt::format("instance-id: {}\nlocal-hostname: {}\n", yaml_quoted(seed.instance_id),
                     yaml_quoted(seed.host_name));
}

Result<std::string> seed_user_data(const Seed& seed) {
  TRY(check_user_name(seed.user_name));
  TRY(check_password_hash(seed.password_hash));
  TRY(check_keys(seed.ssh_authorized_keys));
  std::string text = fmt::format(
      "#cloud-config\n"
      "users:\n"
      "  - name: {}\n"
      "    groups: [\"sudo\"]\n"
      "    sudo: \"ALL=(ALL) NOPASSWD:ALL\"\n"
      "    shell: \"/bin/bash\"\n"
      "    lock_passwd: false\n"
      "    passwd: {}\n",
      yaml_quoted(seed.user_name), yaml_quoted(seed.password_hash));
  if (!seed.ssh_authorized_keys.empty()) text += "    ssh_authorized_keys:\n";
  for (const std::string& key : seed.ssh_authorized_keys) text += fmt::format("      - {}\n", yaml_quoted(key));
  text += "ssh_pwauth: true\ndisable_root: true\n";
  return text;
}

Status write_seed(const std::filesystem::path& iso, const Seed& seed) {
  const std::filesystem::path folder = TRY(make_private_folder());
  Status written = build_iso(folder, iso, seed);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return written;
}

}  // namespace atelier::vm
