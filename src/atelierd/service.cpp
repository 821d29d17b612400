#include "atelierd/service.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api/context.h"
#include "api/delete_group.h"
#include "api/routes.h"
#include "atelierd/data_folder.h"
#include "atelierd/first_start.h"
#include "auth/certificates.h"
#include "auth/sas.h"
#include "auth/sign_in_limit.h"
#include "auth/tokens.h"
#include "base/log.h"
#include "catalog/parts.h"
#include "db/database.h"
#include "gallery/journeys.h"
#include "http/router.h"
#include "http/server.h"
#include "http/static_files.h"
#include "image/store.h"
#include "labs/journeys.h"
#include "labs/parts.h"
#include "ops/runner.h"
#include "vm/accelerator.h"
#include "vm/fake_hypervisor.h"
#include "vm/image_server.h"
#include "vm/libvirt_hypervisor.h"

namespace atelier::atelierd {

// In the order they are made; destroyed in the opposite one.
struct Service::Parts {
  std::unique_ptr<DataFolder> data;
  std::unique_ptr<db::Database> database;
  Identity identity;
  std::vector<std::unique_ptr<image::Store>> stores;
  std::vector<std::unique_ptr<vm::ImageServer>> image_servers;
  std::unique_ptr<catalog::Regions> regions;
  std::unique_ptr<vm::Hypervisor> hypervisor;
  std::unique_ptr<ops::Runner> runner;
  std::unique_ptr<catalog::Parts> common;
  std::unique_ptr<labs::Parts> labs;
  std::unique_ptr<auth::TokenService> tokens;
  auth::SignInLimit sign_in_limit;
  std::unique_ptr<auth::UploadSigner> upload_signer;
  std::unique_ptr<api::Context> context;
  std::unique_ptr<http::Server> server;
};

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kCacheMibMin = 16;  // the plugin takes no less

Result<std::unique_ptr<image::Store>> open_store(const fs::path& folder) {
  if (fs::exists(folder / "format.json")) return image::open_directory_store(folder, image::Access::kReadWrite);
  return image::create_directory_store(folder);
}

fs::path beside_this_program(const char* name) {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path() / name;
}

std::vector<std::string> image_server_parameters(const Options& options, const DataFolder& data,
                                                 const catalog::Region& region) {
  std::vector<std::string> parameters = {"store=" + data.store(region.name).string(),
                                         "stats=" + (data.run() / (region.name + ".stats")).string()};
  if (options.cache_mib > 0) {
    parameters.push_back("cache-file=" + data.cache(region.name).string());
    parameters.push_back(fmt::format("cache-mib={}", std::max<std::uint64_t>(options.cache_mib, kCacheMibMin)));
    if (options.hydrate) parameters.emplace_back("hydrate=on");
  }
  for (const catalog::Region& other : options.regions) {
    if (other.name != region.name && other.geography == region.geography) {
      parameters.push_back("heal-from=" + data.store(other.name).string());
    }
  }
  return parameters;
}

Result<std::unique_ptr<vm::ImageServer>> open_image_server(const Options& options, const DataFolder& data,
                                                           const catalog::Region& region) {
  const fs::path plugin = options.plugin.empty() ? beside_this_program("nbdkit-atelier-plugin.so") : options.plugin;
  if (!fs::exists(plugin)) {
    return fail(Code::kFailedPrecondition,
                fmt::format("{} is missing. Give --plugin the path of nbdkit-atelier-plugin.so.", plugin.string()));
  }
  return vm::ImageServer::open({.plugin = fs::absolute(plugin).string(),
                                .parameters = image_server_parameters(options, data, region),
                                .socket = data.run() / (region.name + ".sock"),
                                .pid_file = data.run() / (region.name + ".pid"),
                                .log_file = data.run() / (region.name + ".log")});
}

Result<std::unique_ptr<vm::Hypervisor>> open_hypervisor(const Options& options, const DataFolder& data) {
  if (options.hypervisor == HypervisorKind::kFake) {
    log::warning("No virtual machines: the hypervisor is the fake");
    return std::make_unique<vm::FakeHypervisor>(vm::FakeHypervisor::Options{});
  }
  vm::LibvirtHypervisor::Options libvirt{.uri = options.libvirt_uri};
  if (options.accelerator == AcceleratorChoice::kKvm) libvirt.accelerator = vm::Accelerator::kKvm;
  if (options.accelerator == AcceleratorChoice::kProbe) {
    libvirt.accelerator = vm::probe_accelerator({.cache_file = data.path() / "accelerator", .kernel = {}});
  }
  log::info("Guests run under {}", vm::to_string(libvirt.accelerator));
  return TRY(vm::LibvirtHypervisor::open(libvirt));
}

// The port to listen on: base URLs in tokens and answers need it before the server has it.
Result<std::uint16_t> choose_port(const Options& options) {
  if (options.port != 0) return options.port;
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool bound = probe >= 0 && ::bind(probe, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  const int bind_errno = errno;
  if (probe >= 0) ::close(probe);
  if (!bound) return fail(errno_error(bind_errno, "find a free port"));
  return ntohs(address.sin_port);
}

std::string host_of(const std::string& address) {
  if (address == "0.0.0.0" || address == "::") return "localhost";
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

http::Router make_router(const Options& options, api::Context& context) {
  http::Router router;
  api::add_routes(router, context);
  if (!options.portal.empty()) {
    const http::StaticFiles portal({.folder = options.portal});
    router.set_fallback([portal](http::Request& request) { return portal.answer(request); });
  }
  return router;
}

}  // namespace

Result<std::unique_ptr<Service>> Service::start(const Options& options) {
  auto parts = std::make_unique<Parts>();
  parts->data = std::make_unique<DataFolder>(TRY(DataFolder::open(options.data)));
  const DataFolder& data = *parts->data;
  const std::uint16_t port = TRY(choose_port(options));
  const std::string base_url = fmt::format("https://{}:{}", host_of(options.address), port);
  const auth::CertificateFiles certificates =
      TRY_DURING(auth::ensure_certificates(data.path(), {.names = options.names}), "make certificates");

  const std::string url =
      options.database_url.empty() ? "sqlite:" + (data.path() / "atelier.db").string() : options.database_url;
  parts->database = TRY_DURING(db::Database::open({.url = url}), "open the database");
  parts->identity = TRY(ensure_identity(*parts->database));
  TRY_DURING(ensure_admin(*parts->database, parts->identity.tenant_id, options.admin_password), "make the user admin");

  std::vector<catalog::Region> regions = options.regions;
  for (catalog::Region& region : regions) {
    parts->stores.push_back(TRY_DURING(open_store(data.store(region.name)), "open the store of " + region.name));
    region.store = parts->stores.back().get();
    parts->image_servers.push_back(
        TRY_DURING(open_image_server(options, data, region), "start the image server of " + region.name));
    region.server = parts->image_servers.back().get();
  }
  parts->regions = std::make_unique<catalog::Regions>(std::move(regions));
  parts->hypervisor = TRY(open_hypervisor(options, data));

  parts->runner = std::make_unique<ops::Runner>(*parts->database, ops::Runner::Options{.workers = options.workers});
  parts->common = std::make_unique<catalog::Parts>(
      catalog::Parts{*parts->database, *parts->runner, *parts->regions, data.uploads()});
  parts->labs = std::make_unique<labs::Parts>(labs::Parts{*parts->common, *parts->hypervisor, data.vms()});
  parts->tokens =
      TRY(auth::TokenService::create(*parts->database, {.base_url = base_url, .tenant_id = parts->identity.tenant_id}));
  parts->upload_signer = std::make_unique<auth::UploadSigner>(TRY(auth::UploadSigner::open(*parts->database)));
  parts->context = std::make_unique<api::Context>(api::Context{.parts = *parts->common,
                                                               .tokens = *parts->tokens,
                                                               .sign_in_limit = parts->sign_in_limit,
                                                               .upload_signer = *parts->upload_signer,
                                                               .labs = parts->labs.get(),
                                                               .base_url = base_url,
                                                               .tenant_id = parts->identity.tenant_id,
                                                               .subscription_id = parts->identity.subscription_id,
                                                               .subscription_name = parts->identity.subscription_name});

  gallery::add_journeys(*parts->runner, *parts->common, *parts->hypervisor);
  labs::add_journeys(*parts->runner, *parts->labs);
  api::add_journeys(*parts->runner, *parts->context);
  TRY_DURING(labs::resume(*parts->labs), "bring the virtual machines back");
  TRY_DURING(parts->runner->start(), "start operations");
  parts->server = TRY(http::Server::start(
      {.address = options.address,
       .port = port,
       .tls = http::TlsFiles{.certificate_chain = certificates.certificate, .private_key = certificates.key}},
      make_router(options, *parts->context)));
  return std::unique_ptr<Service>(new Service(std::move(parts)));
}

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Service::~Service() {
  parts_->server->stop();
  parts_->runner->stop();
}

const std::string& Service::base_url() const { return parts_->context->base_url; }

}  // namespace atelier::atelierd
