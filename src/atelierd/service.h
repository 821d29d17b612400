// All parts of the service, made and joined in one place; the only code that chooses concrete types.
#pragma once

#include <cstdint>
#include <memory>

#include "atelierd/options.h"
#include "base/error.h"

namespace atelier::atelierd {

class Service {
 public:
  // Opens everything, resumes what an earlier run left unfinished, and listens. Whatever fails ends the start with an
  // error that says what to do.
  static Result<std::unique_ptr<Service>> start(const Options& options);
  // Stops listening, puts running operations back into the queue and closes the stores. Image servers and VMs go on:
  // they do not notice a restart.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Where it listens: "https://127.0.0.1:8443".
  const std::string& base_url() const;

 private:
  struct Parts;
  explicit Service(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace atelier::atelierd
