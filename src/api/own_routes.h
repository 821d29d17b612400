// The table of routes, file by file: each of these adds the routes of the source of its name. See routes.cpp for all.
#pragma once

#include "api/routes.h"

namespace atelier::api {

// Without a bearer token:
void add_sign_in_routes(http::Router& router, Context& context);    // token_endpoint.cpp
void add_discovery_routes(http::Router& router, Context& context);  // discovery.cpp
void add_upload_routes(http::Router& router, Context& context);     // uploads.cpp; the URL is signed

void add_subscription_routes(ArmRoutes& routes);           // subscriptions.cpp: also tenants, locations, providers
void add_resource_group_routes(ArmRoutes& routes);         // resource_groups.cpp
void add_gallery_routes(ArmRoutes& routes);                // galleries.cpp
void add_gallery_image_routes(ArmRoutes& routes);          // gallery_images.cpp
void add_gallery_image_version_routes(ArmRoutes& routes);  // gallery_image_versions.cpp
void add_disk_routes(ArmRoutes& routes);                   // disks.cpp
void add_operation_routes(ArmRoutes& routes);              // operations.cpp

}  // namespace atelier::api
