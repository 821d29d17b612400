// The operations on galleries, for the runner.
#pragma once

#include "catalog/parts.h"

namespace atelier::ops {
class Runner;
}

namespace atelier::gallery {

// CreateImageVersion, ExportImage, ReplicateVersion, RemoveReplica, DeleteImageVersion. Before runner.start(); `parts`
// outlives the runner.
void add_journeys(ops::Runner& runner, const catalog::Parts& parts);

}  // namespace atelier::gallery
