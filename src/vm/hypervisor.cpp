#include "vm/hypervisor.h"

namespace atelier::vm {

std::string_view to_string(PowerState state) {
  switch (state) {
    case PowerState::kStopped:
      return "Stopped";
    case PowerState::kRunning:
      return "Running";
    case PowerState::kPaused:
      return "Paused";
    case PowerState::kShuttingDown:
      return "ShuttingDown";
    case PowerState::kCrashed:
      return "Crashed";
  }
  return "Unknown";
}

std::string_view to_string(Consistency consistency) {
  switch (consistency) {
    case Consistency::kStopped:
      return "Stopped";
    case Consistency::kFileSystem:
      return "FileSystemConsistent";
    case Consistency::kCrash:
      return "CrashConsistent";
  }
  return "Unknown";
}

}  // namespace atelier::vm
