#include "atelierd/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <sstream>

namespace atelier::atelierd {
namespace {

std::vector<catalog::Region> default_regions() {
  return {{.name = "japaneast", .display_name = "Japan East", .geography = "japan"},
          {.name = "japanwest", .display_name = "Japan West", .geography = "japan"},
          {.name = "westus2", .display_name = "West US 2", .geography = "us"}};
}

// "japaneast,Japan East,japan"
catalog::Region parse_region(const std::string& text) {
  std::istringstream fields(text);
  catalog::Region region;
  std::getline(fields, region.name, ',');
  std::getline(fields, region.display_name, ',');
  std::getline(fields, region.geography);
  if (region.geography.empty() || region.name != catalog::normal_region_name(region.name)) {
    throw CLI::ValidationError("--region", fmt::format("'{}' is not NAME,DISPLAY NAME,GEOGRAPHY with a lower-case "
                                                       "name, such as japaneast,Japan East,japan",
                                                       text));
  }
  return region;
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  Options options;
  std::vector<std::string> regions;
  CLI::App app("The service of Atelier: labs and a shared image gallery behind one REST API.", "atelierd");
  app.set_config("--config", "", "Read options from this TOML file; flags win");
  app.add_option("--data", options.data, "Folder that everything is kept in")->capture_default_str();
  app.add_option("--listen", options.address, "Address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "Port; 0 for any free one")->capture_default_str();
  app.add_option("--name", options.names, "Further DNS name or address for the server's certificate");
  app.add_option("--database", options.database_url,
                 "sqlite:/path or postgresql://...; default: SQLite in the data folder");
  app.add_option("--plugin", options.plugin, "nbdkit-atelier-plugin.so; default: beside this program");
  app.add_option("--portal", options.portal, "Folder of the built portal");
  app.add_option("--hypervisor", options.hypervisor, "libvirt, or fake for trying without virtual machines")
      ->transform(CLI::CheckedTransformer(std::map<std::string, HypervisorKind>{{"libvirt", HypervisorKind::kLibvirt},
                                                                                {"fake", HypervisorKind::kFake}}));
  app.add_option("--libvirt-uri", options.libvirt_uri, "Where libvirt is")->capture_default_str();
  app.add_option("--accelerator", options.accelerator, "probe, tcg or kvm")
      ->transform(CLI::CheckedTransformer(std::map<std::string, AcceleratorChoice>{
          {"probe", AcceleratorChoice::kProbe}, {"tcg", AcceleratorChoice::kTcg}, {"kvm", AcceleratorChoice::kKvm}}));
  app.add_option("--guest-network", options.guest_network,
                 "restricted: guests are reached by ssh and reach nothing; open: they reach what this host does")
      ->transform(CLI::CheckedTransformer(std::map<std::string, vm::GuestNetwork>{
          {"restricted", vm::GuestNetwork::kRestricted}, {"open", vm::GuestNetwork::kOpen}}));
  app.add_option("--cache-mib", options.cache_mib, "MiB of each region's cache of image data on this disk; 0 for none")
      ->check(CLI::Range(0, 4 << 20))
      ->capture_default_str();
  app.add_flag("--hydrate", options.hydrate, "Bring images that machines run from into the cache as a whole");
  app.add_option("--workers", options.workers, "Operations run at the same time")->check(CLI::Range(1, 64));
  app.add_option("--region", regions, "NAME,DISPLAY NAME,GEOGRAPHY; repeat for each region");
  app.add_flag("--verbose", options.verbose, "Log debug lines too");
  try {
    app.parse(argc, argv);
    for (const std::string& region : regions) options.regions.push_back(parse_region(region));
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return std::unexpected(status == 0 ? 0 : 2);
  }
  if (options.regions.empty()) options.regions = default_regions();
  if (const char* password = std::getenv("ATELIER_ADMIN_PASSWORD")) options.admin_password = password;
  return options;
}

}  // namespace atelier::atelierd
