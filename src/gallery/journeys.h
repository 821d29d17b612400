// The operations on galleries, for the runner.
#pragma once

#include "catalog/parts.h"

namespace atelier::ops {
class Runner;
}

namespace atelier::vm {
class Hypervisor;
}

namespace atelier::gallery {

// CreateImageVersion, ExportImage, ReplicateVersion, RemoveReplica, DeleteImageVersion. Before runner.start(); `parts`
// and `hypervisor`, which has the VMs that are exported, outlive the runner.
void add_journeys(ops::Runner& runner, const catalog::Parts& parts, vm::Hypervisor& hypervisor);

}  // namespace atelier::gallery
