"""An atelierd of a test's own: own data folder, own port, own libvirt driver inside it; stopped by its process id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from arm import Client

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("ATELIER_BIN", ROOT / "build" / "bin"))
PASSWORD = "Journey-2026-pass"
START_SECONDS_MAX = 90


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, data=None, hypervisor="libvirt", options=()):
        self.own_folder = None
        if data is None:
            self.own_folder = tempfile.mkdtemp(prefix="atelier-journey-")
            os.chmod(self.own_folder, 0o711)
            data = Path(self.own_folder) / "data"
        self.data = Path(data)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca = self.data / "ca.pem"
        self.hypervisor, self.options = hypervisor, list(options)
        self.process = None
        self.log = self.data.parent / "atelierd.log"

    def command(self):
        portal = ROOT / "web" / "dist"
        return [str(BIN / "atelierd"), "--data", str(self.data), "--port", str(self.port), "--hypervisor", self.hypervisor,
                "--libvirt-uri", f"qemu:///embed?root={self.data}/libvirt", "--accelerator", "tcg",
                *(["--portal", str(portal)] if portal.is_dir() else []), *self.options]

    def start(self):
        """Returns when it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        os.chmod(self.data, 0o711)
        environment = dict(os.environ, ATELIER_ADMIN_PASSWORD=PASSWORD)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"atelierd ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"atelierd does not listen:\n{self.log_tail()}")

    def client(self):
        return Client(self.url, str(self.ca), "admin", PASSWORD)

    def kill(self):
        """The power fails for atelierd: no time to say goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("atelierd did not stop within a minute of SIGTERM") from None
        return self.process.returncode if self.process else None

    def memory_peak_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM in /proc/PID/status")

    def log_tail(self, lines=40):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end_left_processes(self):
        """What outlives atelierd on purpose (image servers, guests), ended by the pid files it wrote."""
        for pid_file in [*self.data.glob("run/*.pid"), *self.data.glob("libvirt/**/*.pid")]:
            try:
                pid = int(pid_file.read_text().split()[0])
                if str(self.data) in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError, IndexError):
                continue

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            self.stop()
        finally:
            self.end_left_processes()
            if kind is not None:
                print(self.log_tail(60))
            if self.own_folder and not os.environ.get("ATELIER_KEEP"):
                shutil.rmtree(self.own_folder, ignore_errors=True)


def atelier(*arguments, check=True, **environment):
    """The command line program."""
    done = subprocess.run([str(BIN / "atelier"), *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, **environment))
    if check and done.returncode != 0:
        raise AssertionError(f"atelier {' '.join(map(str, arguments))} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def tiny_image():
    """The tiny Linux image, built once per tree."""
    image = ROOT / "build" / "tiny-image" / "tiny-generalized.qcow2"
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([str(ROOT / "packaging" / "tiny-image" / "build.sh"), str(image), "generalized"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return image
