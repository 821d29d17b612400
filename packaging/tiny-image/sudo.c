/* sudo for an image too small for the real one: root and members of group sudo run a command as root, without a password
 * (as the usual cloud image's first user does). sudo [-n] [-i|-s|COMMAND ARGUMENT...] */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

static int may_become_root(const struct passwd* user) {
  const struct group* sudo = getgrnam("sudo");
  if (user->pw_uid == 0) return 1;
  if (sudo == NULL) return 0;
  for (char** member = sudo->gr_mem; *member != NULL; ++member) {
    if (strcmp(*member, user->pw_name) == 0) return 1;
  }
  return user->pw_gid == sudo->gr_gid;
}

int main(int argc, char** argv) {
  static char* environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
                                "SHELL=/bin/sh", "TERM=linux", NULL};
  static char* shell[] = {"-sh", NULL};
  const struct passwd* user = getpwuid(getuid());
  int next = 1;
  int want_shell = argc < 2;
  if (user == NULL || !may_become_root(user)) {
    fprintf(stderr, "sudo: %s is not in the group sudo\n", user == NULL ? "this user" : user->pw_name);
    return 1;
  }
  while (next < argc && argv[next][0] == '-') {
    const char* option = argv[next++];
    if (strcmp(option, "-i") == 0 || strcmp(option, "-s") == 0) {
      want_shell = 1;
    } else if (strcmp(option, "--") == 0) {
      break;
    } else if (strcmp(option, "-n") != 0) {
      fprintf(stderr, "sudo: unknown option %s\n", option);
      return 1;
    }
  }
  if (setgid(0) != 0 || initgroups("root", 0) != 0 || setuid(0) != 0) {
    perror("sudo");
    return 1;
  }
  environ = environment; /* and so the PATH that execvp looks in */
  if (next >= argc && want_shell) {
    execv("/bin/sh", shell);
  } else if (next < argc) {
    execvp(argv[next], argv + next);
  }
  perror(next < argc ? argv[next] : "sudo");
  return 127;
}
