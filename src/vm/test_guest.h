// For the tests with real guests: a base image, its image server, and VMs made from it in a temporary folder.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "vm/image_server.h"
#include "vm/libvirt_hypervisor.h"
#include "vm/process.h"

namespace atelier::vm {

// One per process, because libvirt allows one embedded driver: its guests and server end with it.
class TestHost {
 public:
  // Builds the tiny image on the first call.
  static TestHost& instance();
  ~TestHost();

  LibvirtHypervisor& hypervisor() { return *hypervisor_; }
  ImageServer& images() { return *images_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path base() const { return folder_ / "images" / "base"; }  // raw
  pid_t image_server_pid() const;

  // A VM with a new overlay of the base, defined, and, with a seed, user "teacher" with password "secret".
  VmSpec define_vm(SeedDisk seed);
  // Waits for the guest's line "LAB-READY …" and gives it; "" when it does not come.
  static std::string wait_ready(const VmSpec& spec);
  static std::string console(const VmSpec& spec);
  // Runs a shell command in the guest as "teacher".
  Finished in_guest(const VmSpec& spec, const std::string& script);

 private:
  TestHost();
  std::filesystem::path folder_;
  std::unique_ptr<ImageServer> images_;
  std::unique_ptr<LibvirtHypervisor> hypervisor_;
  std::vector<std::string> defined_;
};

// "" when it succeeded, else the message.
std::string problem_of(const Status& status);

// The part of a line after "KEY=", up to a space.
std::string value_of(const std::string& line, const std::string& key);

}  // namespace atelier::vm
