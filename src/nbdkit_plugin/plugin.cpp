// nbdkit-atelier-plugin: offers every image of a store as a read-only disk; the export name is the image's root.
//
//   nbdkit -U SOCKET nbdkit-atelier-plugin.so store=DIR [KEY=VALUE ...]    see configuration.h
//
// nbdkit is C: no exception may leave a callback.

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <signal.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "nbdkit_plugin/configuration.h"
#include "nbdkit_plugin/served_images.h"

// One request at a time per connection, any number of connections at once. Not NBDKIT_THREAD_MODEL_PARALLEL, although
// all here would allow it: in Debian 12's nbdkit 1.32.5 a client that goes away while two of its requests are being
// answered can end the whole server (raw_send_socket: Assertion `sock >= 0'), and with it every guest's disk.
#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS

namespace {

using namespace atelier;
using atelier::nbdkit_plugin::Configuration;
using atelier::nbdkit_plugin::is_path_parameter;
using atelier::nbdkit_plugin::kParametersHelp;
using atelier::nbdkit_plugin::ServedImage;
using atelier::nbdkit_plugin::ServedImages;
using atelier::nbdkit_plugin::set_parameter;

constexpr std::size_t kExtentsAtOnce = 4096;
constexpr std::uint32_t kPreferredBlockBytes = 64U << 10;
constexpr std::uint32_t kBlockBytesMax = 32U << 20;

// One client's connection.
struct Connection {
  std::string root;
  std::shared_ptr<ServedImage> image;  // shared by all connections to it
};

// nbdkit calls without a context of ours, so these live as long as the program.
Configuration configuration;
std::unique_ptr<ServedImages> served_images;

// Runs the body of a callback; an exception becomes EIO and `failed`.
template <typename T, typename Body>
T guarded(T failed, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& exception) {
    nbdkit_error("unexpected failure: %s", exception.what());
  } catch (...) {
    nbdkit_error("unexpected failure");
  }
  nbdkit_set_error(EIO);
  return failed;
}

Connection& connection_of(void* handle) { return *static_cast<Connection*>(handle); }

int configure(const char* key, const char* value) {
  return guarded(-1, [&] {
    std::string text = value;
    if (is_path_parameter(key)) {
      char* const path = nbdkit_absolute_path(value);  // says itself what is wrong
      if (path == nullptr) return -1;
      text = path;
      std::free(path);
    }
    const Status set = set_parameter(configuration, key, text);
    if (!set) nbdkit_error("%s", set.error().message().c_str());
    return set ? 0 : -1;
  });
}

int configuration_complete() {
  if (configuration.store_folder.empty()) {
    nbdkit_error("store=DIR is missing: the folder of the store to serve");
    return -1;
  }
  auto& cache = configuration.serve.chunks.cache;
  if (cache && cache->file.empty()) cache.reset();  // only its size was given
  return 0;
}

// Here and not earlier: neither threads nor the index may be carried over nbdkit's fork.
int open_store() {
  return guarded(-1, [] {
    // A limit on the size of files is a full disk to the cache file, and no reason to end.
    ::signal(SIGXFSZ, SIG_IGN);  // NOLINT(cert-err33-c): it cannot fail
    auto opened = ServedImages::open(configuration.store_folder, configuration.serve);
    if (!opened) {
      nbdkit_error("cannot open the store: %s", opened.error().message().c_str());
      return -1;
    }
    served_images = std::move(*opened);
    return 0;
  });
}

void close_store() { served_images.reset(); }

void* open_image(int) {
  return guarded<void*>(nullptr, []() -> void* {
    const char* const name = nbdkit_export_name();
    if (name == nullptr) return nullptr;
    auto image = served_images->find(name);
    if (!image) {
      const bool is_unknown = image.error().code() == Code::kNotFound;
      nbdkit_error("image cannot be served: %s", image.error().message().c_str());
      nbdkit_set_error(is_unknown ? ENOENT : EIO);
      return nullptr;
    }
    return new Connection{name, std::move(*image)};
  });
}

void close_image(void* handle) { delete static_cast<Connection*>(handle); }

std::int64_t disk_size(void* handle) { return static_cast<std::int64_t>(connection_of(handle).image->disk_bytes()); }

int block_size(void*, std::uint32_t* minimum, std::uint32_t* preferred, std::uint32_t* maximum) {
  *minimum = 1;
  *preferred = kPreferredBlockBytes;
  *maximum = kBlockBytesMax;
  return 0;
}

// A failure is this client's alone: an error to it, a line in the log, and never bytes that were not checked.
int failed(const Connection& connection, std::uint64_t offset, const Error& error) {
  nbdkit_error("image %s at offset %" PRIu64 ": %s", connection.root.c_str(), offset, error.message().c_str());
  nbdkit_set_error(EIO);
  return -1;
}

int read_bytes(void* handle, void* buffer, std::uint32_t count, std::uint64_t offset, std::uint32_t) {
  return guarded(-1, [&] {
    Connection& connection = connection_of(handle);
    const Status status = connection.image->read(offset, {static_cast<std::byte*>(buffer), count});
    return status ? 0 : failed(connection, offset, status.error());
  });
}

int describe_extents(void* handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags,
                     nbdkit_extents* extents) {
  return guarded(-1, [&] {
    Connection& connection = connection_of(handle);
    const std::size_t count_max = (flags & NBDKIT_FLAG_REQ_ONE) != 0 ? 1 : kExtentsAtOnce;
    const auto found = connection.image->extents(offset, count, count_max);
    if (!found) return failed(connection, offset, found.error());
    for (const image::Extent& extent : *found) {
      const bool is_hole = extent.kind == image::Extent::Kind::kHole;
      const std::uint32_t type = is_hole ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;
      if (nbdkit_add_extent(extents, extent.offset, extent.bytes, type) != 0) return -1;
    }
    return 0;
  });
}

int yes(void*) { return 1; }
int no(void*) { return 0; }

::nbdkit_plugin describe() {
  ::nbdkit_plugin description{};
  description.name = "atelier";
  description.longname = "Atelier images";
  description.version = ATELIER_VERSION;
  description.description = "Serves the images of an Atelier store as read-only disks.";
  description.config_help = kParametersHelp;
  description.magic_config_key = "store";
  description.config = configure;
  description.config_complete = configuration_complete;
  description.after_fork = open_store;
  description.cleanup = close_store;
  description.open = open_image;
  description.close = close_image;
  description.get_size = disk_size;
  description.block_size = block_size;
  description.can_write = no;
  description.is_rotational = no;
  description.can_multi_conn = yes;
  description.can_extents = yes;
  description.pread = read_bytes;
  description.extents = describe_extents;
  return description;
}

::nbdkit_plugin plugin_description = describe();

}  // namespace

NBDKIT_REGISTER_PLUGIN(plugin_description)
