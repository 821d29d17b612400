#include "vm/test_guest.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "base/text.h"
#include "vm/seed.h"

namespace atelier::vm {
namespace {

// A test cannot go on without its host.
template <typename T>
T must(Result<T> result) {
  if (result) {
    if constexpr (std::is_void_v<T>) {
      return;
    } else {
      return std::move(*result);
    }
  }
  std::cerr << "test host: " << result.error().message() << '\n';
  std::abort();
}

}  // namespace

TestHost& TestHost::instance() {
  static TestHost host;
  return host;
}

TestHost::TestHost() : folder_(must(make_private_folder())) {
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));  // QEMU runs as another user
  for (const char* name : {"images", "vms", "libvirt"}) std::filesystem::create_directory(folder_ / name);
  const auto raw = folder_ / "base.raw";
  must(run_ok({.arguments = {ATELIER_SOURCE_DIR "/packaging/tiny-image/build.sh", raw.string()}, .confinement = {}}));
  std::filesystem::rename(raw, base());
  images_ = must(ImageServer::open({.plugin = "file",
                                    .parameters = {"dir=" + (folder_ / "images").string()},
                                    .socket = folder_ / "images.sock",
                                    .pid_file = folder_ / "images.pid",
                                    .log_file = folder_ / "images.log",
                                    .watch = ImageServer::Watch::kNone}));
  const char* other = std::getenv("ATELIER_TEST_LIBVIRT_URI");  // to run the suite against a daemon
  hypervisor_ = must(
      LibvirtHypervisor::open({.uri = other != nullptr ? other : "qemu:///embed?root=" + (folder_ / "libvirt").string(),
                               .ssh_port_first = 23000,
                               .watch_interval = std::chrono::milliseconds(100)}));
}

TestHost::~TestHost() {
  for (const std::string& uuid : defined_) static_cast<void>(hypervisor_->remove(uuid));
  hypervisor_.reset();
  static_cast<void>(images_->stop());
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

pid_t TestHost::image_server_pid() const {
  pid_t pid = 0;
  std::ifstream(folder_ / "images.pid") >> pid;
  return pid;
}

VmSpec TestHost::define_vm(SeedDisk seed) {
  VmSpec spec;
  spec.uuid = new_uuid();
  spec.name = "a <guest> of the tests";
  spec.memory_mib = 192;
  spec.folder = folder_ / "vms" / spec.uuid;
  spec.disk = {.path = spec.folder / "disk.qcow2",
               .backing = images_->disk("base", std::filesystem::file_size(base()))};
  spec.seed = seed;
  std::filesystem::create_directory(spec.folder);
  must(create_overlay(spec.disk));
  if (seed == SeedDisk::kAttached) {
    std::string hash = must(run_ok({.arguments = {"openssl", "passwd", "-6", "secret"}, .confinement = {}}));
    hash.pop_back();  // the new line
    must(write_seed(spec.folder / "seed.iso", {.instance_id = spec.uuid,
                                               .host_name = "guest-" + spec.uuid.substr(0, 8),
                                               .user_name = "teacher",
                                               .password_hash = hash,
                                               .ssh_authorized_keys = {}}));
  }
  must(hypervisor_->define(spec));
  defined_.push_back(spec.uuid);
  return spec;
}

std::string TestHost::console(const VmSpec& spec) {
  std::ifstream file(spec.folder / "console.log");
  return {(std::istreambuf_iterator<char>(file)), {}};
}

std::string TestHost::wait_ready(const VmSpec& spec) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(240);
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string text = console(spec);
    const std::size_t at = text.rfind("LAB-READY");
    const std::size_t end = text.find('\n', at == std::string::npos ? 0 : at);
    if (at != std::string::npos && end != std::string::npos) return text.substr(at, end - at);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return "";
}

Finished TestHost::in_guest(const VmSpec& spec, const std::string& script) {
  const VmStatus status = must(hypervisor_->status(spec.uuid));
  const std::string port = status.ssh_authority.substr(status.ssh_authority.find(':') + 1);
  return must(run({.arguments = {"sshpass", "-p", "secret", "ssh", "-o", "PubkeyAuthentication=no", "-o",
                                 "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                                 "LogLevel=ERROR", "-p", port, "teacher@127.0.0.1", script},
                   .confinement = {}},
                  {.timeout = std::chrono::seconds(240)}));
}

std::string problem_of(const Status& status) { return status ? "" : status.error().message(); }

std::string value_of(const std::string& line, const std::string& key) {
  const std::size_t at = line.find(key + "=");
  if (at == std::string::npos) return "";
  const std::string rest = line.substr(at + key.size() + 1);
  return rest.substr(0, rest.find_first_of(" \r\n"));
}

}  // namespace atelier::vm
