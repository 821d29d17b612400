#include "vm/libvirt_connection.h"

#include <fmt/format.h>
#include <libvirt/virterror.h>

#include <array>
#include <cstdlib>
#include <span>
#include <thread>
#include <utility>

#include "base/log.h"
#include "vm/domain_xml.h"

namespace atelier::vm {
namespace {

// libvirt wants one event loop in the process: the embedded driver learns of its guests by it, and connections their
// keep-alive. It runs until the process ends.
void start_event_loop() {
  static std::once_flag once;
  std::call_once(once, [] {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // else libvirt prints every error itself
    virEventRegisterDefaultImpl();
    std::thread([] {
      // Without a timer, the loop would not notice what is registered before its first turn.
      virEventAddTimeout(1000, [](int, void*) {}, nullptr, nullptr);
      while (true) virEventRunDefaultImpl();
    }).detach();
  });
}

Code code_of(const virError& error) {
  switch (error.code) {
    case VIR_ERR_NO_DOMAIN:
      return Code::kNotFound;
    case VIR_ERR_OPERATION_INVALID:
      return Code::kFailedPrecondition;
    case VIR_ERR_NO_MEMORY:
      return Code::kResourceExhausted;
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_RPC:
    case VIR_ERR_OPERATION_TIMEOUT:
    case VIR_ERR_RESOURCE_BUSY:
      return Code::kUnavailable;
    default:
      break;
  }
  // A broken connection comes as a system or internal error of the transport.
  if (error.domain == VIR_FROM_RPC || error.domain == VIR_FROM_REMOTE) return Code::kUnavailable;
  if (error.message != nullptr && std::string_view(error.message).contains("No space left on device")) {
    return Code::kResourceExhausted;
  }
  return Code::kInternal;
}

}  // namespace

Error libvirt_error(std::string_view doing) {
  const virErrorPtr last = virGetLastError();
  if (last == nullptr) return {Code::kInternal, fmt::format("The hypervisor could not {}.", doing)};
  const Code code = code_of(*last);
  log::warning("libvirt could not {}: {} (code {}, domain {})", doing, last->message == nullptr ? "" : last->message,
               last->code, last->domain);
  switch (code) {
    case Code::kNotFound:
      return {code, "There is no such virtual machine."};
    case Code::kUnavailable:
      return {code, fmt::format("The hypervisor did not answer when asked to {}. It is tried again.", doing)};
    case Code::kResourceExhausted:
      return {code, fmt::format("The host has no room left to {}.", doing)};
    default:
      return {code, fmt::format("The hypervisor could not {}; the server's log says why.", doing)};
  }
}

Result<SharedConnection> LibvirtConnection::get() {
  start_event_loop();
  {
    const std::scoped_lock lock(mutex_);
    if (connection_ && virConnectIsAlive(connection_.get()) == 1) return connection_;
  }
  const virConnectPtr opened = virConnectOpen(uri_.c_str());
  if (opened == nullptr) {
    const virErrorPtr last = virGetLastError();
    if (!away_.exchange(true)) {  // once, not at every look of the watch
      log::error("no connection to {}: {}", uri_, last == nullptr || last->message == nullptr ? "" : last->message);
    }
    return fail(Code::kUnavailable, "The hypervisor does not answer.");
  }
  constexpr int kSecondsBetween = 5;
  constexpr unsigned kUnansweredMax = 6;
  virConnectSetKeepAlive(opened, kSecondsBetween, kUnansweredMax);  // the embedded driver has none: no harm
  if (away_.exchange(false)) log::info("connected to {} again", uri_);
  SharedConnection fresh(opened, [](virConnectPtr connection) { virConnectClose(connection); });
  const std::scoped_lock lock(mutex_);
  connection_ = fresh;
  return fresh;
}

Result<Domain> LibvirtConnection::domain(std::string_view uuid) {
  const SharedConnection connection = TRY(get());
  Domain found(virDomainLookupByUUIDString(connection.get(), std::string(uuid).c_str()));
  if (found) return found;
  const virErrorPtr last = virGetLastError();
  if (last != nullptr && (last->code == VIR_ERR_NO_DOMAIN || last->code == VIR_ERR_INVALID_ARG)) {
    return fail(Code::kNotFound, fmt::format("There is no virtual machine {}.", uuid));
  }
  return fail(libvirt_error("look up a virtual machine"));
}

Result<std::vector<Domain>> LibvirtConnection::domains(unsigned flags) {
  const SharedConnection connection = TRY(get());
  virDomainPtr* raw = nullptr;
  const int count = virConnectListAllDomains(connection.get(), &raw, flags);
  if (count < 0) return fail(libvirt_error("list the virtual machines"));
  std::vector<Domain> found;
  found.reserve(static_cast<std::size_t>(count));
  for (virDomainPtr domain : std::span(raw, static_cast<std::size_t>(count))) found.emplace_back(domain);
  std::free(static_cast<void*>(raw));
  return found;
}

std::string metadata_of(virDomainPtr domain) {
  char* text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, std::string(kMetadataUri).c_str(),
                                    VIR_DOMAIN_AFFECT_CURRENT);
  if (text == nullptr) return "";
  std::string copy(text);
  std::free(text);
  return copy;
}

std::string uuid_of(virDomainPtr domain) {
  std::array<char, VIR_UUID_STRING_BUFLEN> text{};
  if (virDomainGetUUIDString(domain, text.data()) != 0) return "";
  return text.data();
}

}  // namespace atelier::vm
