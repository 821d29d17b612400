"""A look inside a guest over ssh, as its teacher would take it."""

import base64
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

SSH_OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
               "-o", "ConnectTimeout=10", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
BOOT_SECONDS_MAX = 240


class Guest:
    def __init__(self, authority, user, password):
        self.host, _, self.port = authority.rpartition(":")
        self.user, self.password = user, password

    def attempt(self, command, stdin=None):
        return subprocess.run(["sshpass", "-e", "ssh", *SSH_OPTIONS, "-p", self.port, f"{self.user}@{self.host}", command],
                              env={"SSHPASS": self.password, "PATH": "/usr/bin:/bin"}, input=stdin, text=True,
                              stdin=None if stdin else subprocess.DEVNULL, capture_output=True, timeout=120)

    def run(self, command, stdin=None):
        """Standard output of `command` in the guest; anything but exit 0 is an error."""
        done = self.attempt(command, stdin)
        if done.returncode != 0:
            raise AssertionError(f"in the guest, {command!r} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def run_as_root(self, command):
        return self.run("sudo sh -c " + shlex.quote(command))

    def wait_until_up(self):
        deadline = time.monotonic() + BOOT_SECONDS_MAX
        while True:
            last = self.attempt("true")
            if last.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.user}@{self.host}:{self.port} does not answer: {last.stderr}")
            time.sleep(0.5)

    def host_key(self):
        scanned = subprocess.run(["ssh-keyscan", "-p", self.port, "-t", "ed25519", self.host], capture_output=True, text=True,
                                 timeout=60)
        return scanned.stdout.split()[-1] if scanned.stdout else ""

    def identity(self):
        return {"machine_id": self.run("cat /etc/machine-id"), "host_name": self.run("hostname"), "host_key": self.host_key()}

    def work_as_teacher(self, say=print):
        """Files, another user, a package: what a teacher prepares."""
        self.run("mkdir -p lessons && cat > lessons/first.txt", stdin="Read chapter one.\n")
        self.run("dd if=/dev/urandom of=lessons/data.bin bs=64k count=64 2>/dev/null && sha256sum lessons/data.bin > lessons/data.sha256")
        self.run_as_root("useradd tanaka")
        self.run("base64 -d > /tmp/lesson.deb", stdin=base64.b64encode(lesson_package()).decode())
        say("  in the guest: " + self.run_as_root("dpkg -i /tmp/lesson.deb && sync").splitlines()[-1])

    def expect_teachers_work(self):
        for command, expected in (("cat lessons/first.txt", "Read chapter one."),
                                  ("sha256sum -c lessons/data.sha256", "lessons/data.bin: OK"),
                                  ("lesson", "prepared for class"), ("id -un tanaka", "tanaka")):
            found = self.run(command)
            if found != expected:
                raise AssertionError(f"in the guest, {command!r} printed {found!r}, not {expected!r}")


def lesson_package():
    """A Debian package with one program, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lesson"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text("Package: lesson\nVersion: 1.0\nArchitecture: all\nMaintainer: A Teacher "
                                                 "<teacher@example.org>\nDescription: prepared for class\n")
        program = root / "usr" / "bin" / "lesson"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho prepared for class\n")
        program.chmod(0o755)
        package = Path(folder) / "lesson.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(package)], check=True,
                       stdout=subprocess.DEVNULL)
        return package.read_bytes()
