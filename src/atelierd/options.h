// What atelierd can be told: by flags, by a TOML file (--config), by the environment.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "catalog/regions.h"
#include "vm/hypervisor.h"

namespace atelier::atelierd {

enum class HypervisorKind { kLibvirt, kFake };
enum class AcceleratorChoice { kProbe, kTcg, kKvm };

struct Options {
  std::filesystem::path data = "/var/lib/atelier";  // everything that is kept; made when missing
  std::string address = "127.0.0.1";
  std::uint16_t port = 8443;       // 0: any free one, see the line "listening on"
  std::vector<std::string> names;  // further DNS names and addresses for the server's certificate
  std::string database_url;        // empty: SQLite in the data folder
  std::filesystem::path plugin;    // nbdkit-atelier-plugin.so; empty: beside this program
  std::filesystem::path portal;    // folder of the built portal; empty: none is served
  HypervisorKind hypervisor = HypervisorKind::kLibvirt;
  std::string libvirt_uri = "qemu:///system";
  AcceleratorChoice accelerator = AcceleratorChoice::kProbe;
  vm::GuestNetwork guest_network = vm::GuestNetwork::kRestricted;
  std::uint64_t cache_mib = 4096;        // of each region's chunk cache file, at most; 0: none
  bool hydrate = false;                  // bring images that VMs run from wholly into it
  std::size_t workers = 4;               // operations run at the same time
  std::vector<catalog::Region> regions;  // name, display name, geography; stores are opened later
  std::string admin_password;            // ATELIER_ADMIN_PASSWORD; empty: made at the first start and told once
  bool verbose = false;
};

// The exit status when the command line asks for help or is wrong; the text is already printed.
using ParsedOptions = std::expected<Options, int>;
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace atelier::atelierd
