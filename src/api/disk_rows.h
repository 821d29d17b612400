// What an uploaded disk's rows say, for the two files that deal with it: disks.cpp (ARM) and uploads.cpp (bytes). A
// disk has a second, hidden row "/uploads/{guid}" by which its upload URL finds it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "db/resources.h"

namespace atelier::api {

// `disk.internal` gets the guid and the file's name; inserts both rows.
Status insert_disk(db::Transaction& transaction, db::Resource& disk);
// Both rows; ok when there are none. The file is the caller's.
Status erase_disk(db::Transaction& transaction, const db::Resource& disk);

// The disk whose upload URL names `guid`; kNotFound, reason "ResourceNotFound", when it was deleted.
Result<db::Resource> find_disk_by_guid(db::Transaction& transaction, std::string_view guid);

std::string upload_guid_of(const db::Resource& disk);
// The size declared when the disk was made: what the file has, and where ranges end.
std::uint64_t upload_bytes_of(const db::Resource& disk);

}  // namespace atelier::api
