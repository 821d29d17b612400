// What the journeys of labs need besides their input: made by atelierd's main, outlives every operation.
#pragma once

#include <chrono>
#include <filesystem>

#include "catalog/parts.h"
#include "vm/hypervisor.h"

namespace atelier::labs {

// Whether an image that nobody enabled or disabled for a lab account may be used.
enum class ImagesByDefault { kEnabled, kDisabled };

struct Parts {
  const catalog::Parts& common;
  vm::Hypervisor& hypervisor;
  std::filesystem::path vms;  // one folder for each VM; absolute, exists, QEMU's user may traverse it
  ImagesByDefault images_by_default = ImagesByDefault::kEnabled;
  vm::GuestNetwork network = vm::GuestNetwork::kRestricted;
  std::chrono::milliseconds shutdown_time{60000};  // for a guest to power off by itself before its power is cut
};

}  // namespace atelier::labs
