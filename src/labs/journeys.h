// The operations on labs, for the runner; and what must be set right when the service starts.
#pragma once

#include "base/error.h"
#include "labs/parts.h"

namespace atelier::ops {
class Runner;
}

namespace atelier::labs {

// CreateLab, DeleteLab, StartVirtualMachine, StopVirtualMachine. Before runner.start(); `parts` outlives the runner.
void add_journeys(ops::Runner& runner, const Parts& parts);

// After a restart of the service or its host: every region's image server runs, and every virtual machine is known to
// the hypervisor; none is started. What fails is logged and left for the next start of that machine, so that one broken
// machine does not keep the service down. Fails only when the database does.
Status resume(const Parts& parts);

}  // namespace atelier::labs
