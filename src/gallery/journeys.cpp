#include "gallery/journeys.h"

#include <string>
#include <utility>

#include "gallery/delete_version.h"
#include "gallery/export_image.h"
#include "gallery/import_version.h"
#include "gallery/remove_replica.h"
#include "gallery/replicate_version.h"
#include "ops/runner.h"

namespace atelier::gallery {
namespace {

using Run = Result<json::object> (*)(const ops::Operation&, const catalog::Parts&, TaskContext&);
using OnFailure = Status (*)(db::Transaction&, const ops::Operation&, const Error&);

ops::Journey journey(const catalog::Parts& parts, Run run, OnFailure on_failure) {
  return {
      .run = [&parts, run](const ops::Operation& operation, TaskContext& task) { return run(operation, parts, task); },
      .on_failure = on_failure};
}

}  // namespace

void add_journeys(ops::Runner& runner, const catalog::Parts& parts, vm::Hypervisor& hypervisor) {
  const auto add = [&](std::string_view kind, Run run, OnFailure on_failure) {
    runner.handle(std::string(kind), journey(parts, run, on_failure));
  };
  add(import_version::kKind, import_version::run, import_version::on_failure);
  runner.handle(std::string(export_image::kKind),
                {.run = [&parts, &hypervisor](
                            const ops::Operation& operation,
                            TaskContext& task) { return export_image::run(operation, parts, hypervisor, task); },
                 .on_failure = export_image::on_failure});
  add(replicate_version::kKind, replicate_version::run, replicate_version::on_failure);
  add(remove_replica::kKind, remove_replica::run, nullptr);
  add(delete_version::kKind, delete_version::run, delete_version::on_failure);
}

}  // namespace atelier::gallery
