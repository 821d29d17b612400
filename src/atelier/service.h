// A command's view of the service: the signed-in client, and the steps that most commands share.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atelier/arm_client.h"
#include "atelier/client_options.h"
#include "atelier/command.h"
#include "base/error.h"
#include "base/json.h"

namespace CLI {
class App;
}

namespace atelier::cli {

struct Service {
  std::unique_ptr<ArmClient> arm;
  ClientOptions options;
  OutputFormat output = OutputFormat::kTable;
};

using ServiceCommand = std::function<Status(Service&)>;

// Makes `command` what the program runs when `sub` was given; both others must outlive the run.
void set_command(CLI::App& sub, Program& program, const ClientOptions& options, ServiceCommand command);

// What a short name is looked for among.
struct ResourceKind {
  std::string_view provider_type;  // "Microsoft.Compute/galleries"
  std::string_view noun;           // "gallery"
  std::string_view command;        // that lists them: "atelier gallery list"
};
inline constexpr ResourceKind kGallery{"Microsoft.Compute/galleries", "gallery", "atelier gallery list"};
inline constexpr ResourceKind kAccount{"Microsoft.LabServices/labPlans", "lab account", "atelier account list"};
inline constexpr ResourceKind kLab{"Microsoft.LabServices/labs", "lab", "atelier lab list"};

// "/subscriptions/…/providers/Microsoft.Compute/galleries": all of the subscription, or of the resource group named by
// option -g.
Result<std::string> list_path(Service& service, const ResourceKind& kind);
// The id of a resource named by its short name or its id. With an empty name, the only one there is. kNotFound, or
// kInvalidArgument when several have the name.
Result<std::string> find_id(Service& service, const ResourceKind& kind, const std::string& name);
// The bodies of the list and of the one resource.
Result<json::object> list_of(Service& service, const ResourceKind& kind);
Result<json::object> get_named(Service& service, const ResourceKind& kind, const std::string& name);
// Where a new one of that name goes: the resource group that counts, or the name itself when it is an id.
Result<std::string> new_id(Service& service, const ResourceKind& kind, const std::string& name);
// The short region name of a resource, and that of the resource group that counts.
Result<std::string> location_of(Service& service, const std::string& id);
Result<std::string> group_location(Service& service);
// The place of a new resource: `given`, or the resource group's. A group that was named and is not there is made, in
// the place given.
Result<std::string> place_of_new(Service& service, const std::string& given);

std::string last_segment(std::string_view id);

enum class Wait { kUntilDone, kNot };

// Sends a change and, unless told otherwise, follows its operation to the end. Gives the operation's status body, or
// nothing when there was none to wait for. Says on standard error how to follow what was not waited for.
Result<std::optional<json::object>> change(Service& service, std::string_view method, const std::string& target,
                                           const json::object* body, Wait wait);
// PUT, the wait, and the resource as it is then.
Result<json::object> put_resource(Service& service, const std::string& id, const json::object& body, Wait wait);
// DELETE and the wait. Asks first when somebody sits at the terminal and `is_sure` is false.
struct DeleteOptions {
  bool is_sure = false;
  Wait wait = Wait::kUntilDone;
};
Status delete_resource(Service& service, const std::string& id, DeleteOptions options);

// One row of cells for one resource.
using ToRow = std::function<std::vector<std::string>(const json::object& resource)>;
// The list as the API gave it, or as a table.
Status print_list(const Service& service, const json::object& list, std::vector<std::string> header,
                  const ToRow& to_row);
// The body as the API gave it, or its fields one per line, those without a value left out.
using Fields = std::vector<std::pair<std::string, std::string>>;
Status print_resource(const Service& service, const json::object& body, const Fields& fields);

// The password given, ATELIER_PASSWORD, or what is typed at the terminal without an echo.
enum class PasswordSource { kEnvironmentToo, kNoEnvironment };
Result<std::string> password_or_prompt(const std::string& given, std::string_view prompt, PasswordSource source);

void print_message(const std::string& text);  // on standard error

}  // namespace atelier::cli
