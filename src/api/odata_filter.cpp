#include "api/odata_filter.h"

#include "base/text.h"

namespace atelier::api {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// Takes the next word (up to a blank) off the front.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

// Takes a quoted text off the front; false when there is none.
bool take_quoted(std::string_view& text, std::string& value) {
  text = trimmed(text);
  if (!text.starts_with('\'')) return false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] != '\'') {
      value += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == '\'') {
      value += text[i++];
    } else {
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::string> filter_value(std::string_view filter, std::string_view field) {
  std::string found;
  std::string_view rest = trimmed(filter);
  while (!rest.empty()) {
    const std::string_view name = take_word(rest);
    const std::string_view comparison = take_word(rest);
    std::string value;
    bool legal = equals_ignoring_case(comparison, "eq") && take_quoted(rest, value);
    if (legal && equals_ignoring_case(name, field)) found = value;
    rest = trimmed(rest);
    if (legal && !rest.empty()) legal = equals_ignoring_case(take_word(rest), "and") && !trimmed(rest).empty();
    if (!legal) {
      return fail(Error(Code::kInvalidArgument,
                        "The query parameter $filter must be like: name eq 'value' and name eq 'value'.")
                      .with_target("$filter"));
    }
  }
  return found;
}

}  // namespace atelier::api
