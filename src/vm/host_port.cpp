#include "vm/host_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

namespace atelier::vm {

bool port_is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // as QEMU does: closed connections do not count
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 1) == 0;
  ::close(fd);
  return bound;
}

std::optional<std::uint16_t> pick_port(std::uint16_t first, std::uint16_t last, const std::set<std::uint16_t>& taken) {
  if (last < first) return std::nullopt;
  const std::uint32_t count = static_cast<std::uint32_t>(last) - first + 1;
  const std::uint32_t begin = std::random_device{}() % count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(first + (begin + i) % count);
    if (!taken.contains(port) && port_is_free(port)) return port;
  }
  return std::nullopt;
}

}  // namespace atelier::vm
