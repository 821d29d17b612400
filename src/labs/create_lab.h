// PUT labs/{l}: a new lab, with its template VM made from an image and started.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/parts.h"
#include "ops/operation.h"

namespace atelier::labs::create_lab {

inline constexpr std::string_view kKind = "CreateLab";

struct Request {
  db::Resource lab;    // a new row: id, names, location and tags, who asked
  json::object given;  // the body's properties
};
struct Accepted {
  db::Resource lab;
  std::string operation_id;
};

// Checks everything and writes the lab, its virtual machine "0" and the operation. A lab of that id may be there only
// as Failed; it is then made anew. The password is hashed here and goes no further.
// Errors: kInvalidArgument for a field; kNotFound (ResourceNotFound, GalleryImageNotFound); kFailedPrecondition with
// the reasons of choose_image() and GalleryNotAttached; kConflict when the lab exists or is being worked on.
Result<Accepted> begin(db::Transaction& transaction, const Parts& parts, Request request);

// Idempotent. A failure that trying again will not cure leaves no machine behind.
Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task);

// Sets lab and machine Failed.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace atelier::labs::create_lab
