#include "vm/resume_watch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "vm/domain_xml.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;

bool answers(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

ResumeWatch::ResumeWatch(LibvirtConnection& connection, Options options)
    : connection_(connection), options_(options), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void ResumeWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(waiting_);
      wake_.wait_for(lock, stop, options_.interval, [] { return false; });
    }
    if (!stop.stop_requested()) look();
  }
}

void ResumeWatch::look() {
  const auto paused = connection_.domains(VIR_CONNECT_LIST_DOMAINS_PAUSED);
  if (!paused) return;  // libvirt is away: said in the log, and we look again
  for (const Domain& domain : *paused) {
    int state = 0;
    int reason = 0;
    if (virDomainGetState(domain.get(), &state, &reason, 0) != 0) continue;
    if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR) try_resume(domain.get());
  }
  // Forget those that have run well for a while.
  const auto now = Clock::now();
  std::erase_if(stopped_, [&](const auto& entry) { return entry.second.next_try + 4 * options_.pause_max < now; });
}

void ResumeWatch::try_resume(virDomainPtr domain) {
  const auto notes = parse_notes(metadata_of(domain));
  if (!notes) return;  // not ours
  const std::string uuid = uuid_of(domain);
  Patience& patience = stopped_[uuid];
  const auto now = Clock::now();
  if (now < patience.next_try) return;
  if (patience.pause.count() == 0) log::warning("virtual machine {} stopped with an I/O error", uuid);
  patience.pause = std::clamp(patience.pause * 2, options_.interval, options_.pause_max);
  patience.next_try = now + patience.pause;
  if (!notes->image_socket.empty() && !answers(notes->image_socket)) {
    patience.pause = options_.interval;  // nothing was tried
    return;
  }
  log::info("resuming virtual machine {}", uuid);
  if (virDomainResume(domain) != 0) log::warning("{}", libvirt_error("resume a virtual machine").message());
}

}  // namespace atelier::vm
