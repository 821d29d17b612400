#include "image/vmdk_descriptor.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"
#include "image/format_rules.h"

namespace atelier::image {
namespace {

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("VMDK", why); }

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The text up to the next blank, which is taken off.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text = trim(text.substr(word.size()));
  return word;
}

bool is_quoted(std::string_view text) { return text.size() >= 2 && text.front() == '"' && text.back() == '"'; }

class Parser {
 public:
  Result<VmdkDescriptor> parse(std::string_view text) {
    constexpr std::string_view kFirstLine = "# Disk DescriptorFile";
    if (!text.starts_with(kFirstLine)) return refuse("it has no descriptor.");
    // QEMU finds this anywhere, also in a comment.
    if (text.find("parentFileNameHint") != std::string_view::npos) return refuse("it names a parent disk.");
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      TRY(take_line(trim(line)));
    }
    if (!type_) return refuse("its descriptor does not say its type.");
    if (!extent_sectors_) return refuse("its descriptor has no extent.");
    if (!keys_.contains("version") || !keys_.contains("parentCID")) return refuse("its descriptor lacks a line.");
    return VmdkDescriptor{*type_, *extent_sectors_};
  }

 private:
  Status take_line(std::string_view line) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; };
    if (std::ranges::any_of(line, is_control)) return refuse("its descriptor is no text.");
    if (line.empty() || line.front() == '#') return {};
    std::string_view rest = line;
    const std::string_view word = take_word(rest);
    if (word == "RW" || word == "RDONLY" || word == "NOACCESS") return take_extent(word, rest);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return refuse("its descriptor has a line that is not known here.");
    return take_value(trim(line.substr(0, equals)), trim(line.substr(equals + 1)));
  }

  // RW 16384 SPARSE "name.vmdk"
  Status take_extent(std::string_view access, std::string_view rest) {
    if (extent_sectors_) return refuse("it has several extents. Convert it to one file first.");
    if (access == "NOACCESS") return refuse("its extent may not be read.");
    const auto sectors = parse_uint64(take_word(rest));
    if (!sectors) return refuse("its extent has no size.");
    if (take_word(rest) != "SPARSE") {
      return refuse("its data is in another file. Convert it to one file with qemu-img convert.");
    }
    const std::string_view name = is_quoted(rest) ? rest.substr(1, rest.size() - 2) : "/";
    if (name.empty() || name.find_first_of("/\"") != std::string_view::npos) {
      return refuse("its extent's name is not a plain name.");
    }
    extent_sectors_ = *sectors;
    return {};
  }

  Status take_value(std::string_view key, std::string_view value) {
    if (is_quoted(value)) value = value.substr(1, value.size() - 2);
    if (value.find('"') != std::string_view::npos) return refuse("its descriptor has a line with an odd quote.");
    if (key.starts_with("ddb.")) return {};  // about the virtual hardware
    if (!keys_.insert(key).second) return refuse("its descriptor says a thing twice.");
    if (key == "createType") return take_type(value);
    if (key == "parentCID") {
      if (!equals_ignoring_case(value, "ffffffff")) return refuse("it has a parent disk.");
      return {};
    }
    if (key == "isNativeSnapshot" && value != "no") return refuse("it is a snapshot of another disk.");
    for (const std::string_view known : {"version", "CID", "encoding", "isNativeSnapshot"}) {
      if (key == known) return {};
    }
    return refuse("its descriptor has a line that is not known here.");
  }

  Status take_type(std::string_view value) {
    if (value == "monolithicSparse") {
      type_ = VmdkDescriptor::Type::kMonolithicSparse;
    } else if (value == "streamOptimized") {
      type_ = VmdkDescriptor::Type::kStreamOptimized;
    } else {
      return refuse("its type is none of monolithicSparse and streamOptimized. Convert it with qemu-img convert.");
    }
    return {};
  }

  std::optional<VmdkDescriptor::Type> type_;
  std::optional<std::uint64_t> extent_sectors_;
  std::set<std::string_view> keys_;
};

}  // namespace

Result<VmdkDescriptor> parse_vmdk_descriptor(std::string_view text) { return Parser().parse(text); }

}  // namespace atelier::image
