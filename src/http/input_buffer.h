// Bytes that came from a connection and are not used yet. An idle connection keeps no memory here.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace atelier::http {

class InputBuffer {
 public:
  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  std::span<const char> bytes() const { return std::span(storage_).subspan(begin_, size()); }

  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Room for `count` more bytes behind those at hand; commit() what was written to it.
  std::span<char> room(std::size_t count) {
    if (storage_.size() - end_ < count) {
      if (!empty()) std::memmove(storage_.data(), storage_.data() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
      if (storage_.size() - end_ < count) storage_.resize(end_ + count);
    }
    return {storage_.data() + end_, count};
  }
  void commit(std::size_t count) { end_ += count; }

  // Gives the memory back when nothing is in it.
  void release() {
    if (empty()) storage_ = {};
  }

 private:
  std::vector<char> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace atelier::http
