#include "vm/seed.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "vm/process.h"

namespace atelier::vm {
namespace {

Seed seed() {
  return {.instance_id = "7b0c6c5e-0000-4000-8000-000000000001",
          .host_name = "cs101",
          .user_name = "teacher",
          .password_hash = "$6$saltsalt$abcdefghijklmnop./",
          .ssh_authorized_keys = {"ssh-ed25519 AAAAC3Nz teacher@example"}};
}

TEST(SeedTest, TakesUserNamesThatEveryLinuxGuestTakes) {
  for (const char* name : {"a", "teacher", "_svc", "lab-user_01", "abcdefghijklmnopqrstuvwxyzabcdef"}) {
    EXPECT_TRUE(check_user_name(name).has_value()) << name;
  }
  for (const char* name : {"", "Teacher", "1a", "-a", "a b", "a:b", "a\nb", "a\"b", "root", "täst", "a.b", "$(id)",
                           "abcdefghijklmnopqrstuvwxyzabcdefg"}) {
    EXPECT_FALSE(check_user_name(name).has_value()) << name;
  }
}

TEST(SeedTest, MakesAHostNameOfAnyText) {
  EXPECT_EQ(host_name_from("CS 101: Networks"), "cs-101-networks");
  EXPECT_EQ(host_name_from("--a--"), "a");
  EXPECT_EQ(host_name_from("実習"), "lab");
  EXPECT_EQ(host_name_from(std::string(100, 'x')).size(), 63U);
  EXPECT_EQ(host_name_from(std::string(62, 'x') + " y"), std::string(62, 'x'));
}

TEST(SeedTest, WritesWhatCloudInitReads) {
  EXPECT_EQ(*seed_meta_data(seed()),
            "instance-id: \"7b0c6c5e-0000-4000-8000-000000000001\"\nlocal-hostname: \"cs101\"\n");
  EXPECT_EQ(*seed_user_data(seed()),
            "#cloud-config\n"
            "users:\n"
            "  - name: \"teacher\"\n"
            "    groups: [\"sudo\"]\n"
            "    sudo: \"ALL=(ALL) NOPASSWD:ALL\"\n"
            "    shell: \"/bin/bash\"\n"
            "    lock_passwd: false\n"
            "    passwd: \"$6$saltsalt$abcdefghijklmnop./\"\n"
            "    ssh_authorized_keys:\n"
            "      - \"ssh-ed25519 AAAAC3Nz teacher@example\"\n"
            "ssh_pwauth: true\n"
            "disable_root: true\n");
}

TEST(SeedTest, RefusesValuesThatCouldBecomeOtherLines) {
  const auto refused = [](auto change) {
    Seed hostile = seed();
    change(hostile);
    return !seed_user_data(hostile).has_value() || !seed_meta_data(hostile).has_value();
  };
  EXPECT_FALSE(refused([](Seed&) {}));
  EXPECT_TRUE(refused([](Seed& s) { s.user_name = "a\"\nruncmd: [reboot]"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.password_hash = "$6$a$b\"\nruncmd: [reboot]"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.password_hash = "plain text"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.host_name = "a\nb"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.host_name = "a.b"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.instance_id = "a\"b"; }));
  EXPECT_TRUE(refused([](Seed& s) { s.ssh_authorized_keys = {"ssh-rsa A\nssh-rsa B"}; }));
  EXPECT_TRUE(refused([](Seed& s) { s.ssh_authorized_keys.assign(17, "ssh-rsa A"); }));
}

TEST(SeedTest, TheIsoHasTheLabelAndTheTwoFiles) {
  const auto folder = make_private_folder();
  ASSERT_TRUE(folder.has_value());
  const auto iso = *folder / "seed.iso";
  ASSERT_TRUE(write_seed(iso, seed()).has_value());
  ASSERT_TRUE(write_seed(iso, seed()).has_value()) << "a second time replaces it";
  const auto label = run_ok({.arguments = {"isoinfo", "-d", "-i", iso.string()}, .confinement = {}});
  ASSERT_TRUE(label.has_value());
  EXPECT_NE(label->find("Volume id: cidata"), std::string::npos);
  const auto text = run_ok({.arguments = {"isoinfo", "-R", "-x", "/user-data", "-i", iso.string()}, .confinement = {}});
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text, *seed_user_data(seed()));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(*folder), {}), 1) << "nothing is left beside it";
  std::filesystem::remove_all(*folder);
}

}  // namespace
}  // namespace atelier::vm
