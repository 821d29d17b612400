// A connection to libvirt that opens again when it broke, libvirt's objects with owners, and its errors as ours. For
// the libvirt sources of this folder only.
#pragma once

#include <libvirt/libvirt.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::vm {

struct DomainRelease {
  void operator()(virDomainPtr domain) const { virDomainFree(domain); }
};
using Domain = std::unique_ptr<virDomain, DomainRelease>;
using SharedConnection = std::shared_ptr<virConnect>;

// The calling thread's last libvirt error. Its text goes to the log; the message only says what was being done.
Error libvirt_error(std::string_view doing);

// Thread-safe.
class LibvirtConnection {
 public:
  explicit LibvirtConnection(std::string uri) : uri_(std::move(uri)) {}

  // The living connection. Shared: a call that is under way keeps a broken one until it returns.
  Result<SharedConnection> get();
  // kNotFound when there is no such domain.
  Result<Domain> domain(std::string_view uuid);
  // Flags of virConnectListAllDomains.
  Result<std::vector<Domain>> domains(unsigned flags);

 private:
  const std::string uri_;
  std::mutex mutex_;
  SharedConnection connection_;     // guarded by mutex_
  std::atomic<bool> away_ = false;  // the last attempt to connect failed
};

// The text of our element in the domain's metadata; "" when it has none.
std::string metadata_of(virDomainPtr domain);
std::string uuid_of(virDomainPtr domain);

}  // namespace atelier::vm
