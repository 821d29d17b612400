#!/usr/bin/env python3
"""Bad input, each with its own clear error in ARM's shape and nothing left behind, against a real atelierd."""

import base64
import http.client
import json
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse
from pathlib import Path

import disks
from arm import COMPUTE, DISKS, LABS, RESOURCES, ArmError
from server import Server, tiny_image
from story import REGION, Story


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(hypervisor="fake")
        cls.server.start()
        cls.story = Story(cls.server.client(), tiny_image(), say=lambda *_: None)
        cls.story.create_and_attach()
        cls.story.upload_generalized()
        cls.story.request_lab("story-lab-1", cls.story.generalized, "ayumi", "Kyoshitsu-2026")
        cls.vm = cls.story.lab_path("story-lab-1") + "/virtualMachines/0"
        cls.client = cls.story.client

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def refused(self, status, code, function, *arguments):
        with self.assertRaises(ArmError) as caught:
            function(*arguments)
        error = caught.exception
        self.assertEqual((error.status, error.code), (status, code), error)
        self.assertGreater(len(error.message), 15, error)
        self.assertNotIn(str(self.server.data), error.message)
        return error

    def save(self, name="fine", vm=None, plan=None):
        return self.client.post((plan or self.story.plan) + "/saveImage", LABS, {"name": name, "labVirtualMachineId": vm or self.vm})

    def stopped(self):
        self.client.done(self.client.post(self.vm + "/stop", LABS))

    def test_an_unknown_lab_vm_and_plan(self):
        self.refused(404, "ResourceNotFound", self.client.get, self.story.lab_path("nowhere"), LABS)
        self.refused(404, "ResourceNotFound", self.client.post, self.story.lab_path("story-lab-1") + "/virtualMachines/77/start", LABS)
        unknown_vm = self.story.lab_path("nowhere") + "/virtualMachines/0"
        with self.assertRaises(ArmError) as caught:
            self.save(vm=unknown_vm)
        self.assertEqual(caught.exception.status, 404)

    def test_a_plan_without_gallery(self):
        plan = self.story.plan + "-bare"
        self.client.done(self.client.put(plan, LABS, {"location": REGION, "properties": {}}))
        with self.assertRaises(ArmError) as caught:
            self.save(plan=plan)
        self.assertEqual(caught.exception.status, 409, caught.exception)
        self.assertIn("gallery", caught.exception.message)

    def test_names_that_are_no_image_names(self):
        self.stopped()
        for name in ("", "has space", "-begins", "ends.", "a/b", "x" * 81, "日本", "$(touch x)", "a\nb", None, 7):
            with self.assertRaises(ArmError) as caught:
                self.save(name=name)
            self.assertEqual(caught.exception.status, 400, f"{name!r}: {caught.exception}")

    def test_a_template_that_is_stopped_while_it_is_exported(self):
        self.stopped()
        disks.write_into_overlay(disks.template_overlay(self.server), 128 << 20, 96 << 20, "stopped meanwhile")
        self.client.done(self.client.post(self.vm + "/start", LABS))
        export = self.save("running")
        for action in ("/stop", "/start"):
            with self.assertRaises(ArmError) as caught:
                self.client.post(self.vm + action, LABS)
            self.assertEqual(caught.exception.status, 409)
            self.assertIn("ExportImage", caught.exception.message)
        self.assertEqual(self.client.done(export)["properties"]["consistencyMode"], "FileSystemConsistent")

    def test_a_second_export_while_one_runs(self):
        self.stopped()
        disks.write_into_overlay(disks.template_overlay(self.server), 128 << 20, 96 << 20, "slow")
        first = self.save("slow")
        try:
            with self.assertRaises(ArmError) as caught:
                self.save("second")
            self.assertEqual(caught.exception.status, 409)
        finally:
            self.client.done(first)

    def test_a_disabled_image_and_one_not_in_the_region(self):
        image = self.story.plan + "/images/tiny-generalized"
        self.client.patch(image, LABS, {"properties": {"enabledState": "Disabled"}})
        try:
            with self.assertRaises(ArmError) as caught:
                self.story.request_lab("refused-lab", self.story.generalized, "ayumi", "Kyoshitsu-2026")
            self.assertEqual(caught.exception.status // 100, 4)
            self.assertIn("disabled", caught.exception.message.lower())
        finally:
            self.client.patch(image, LABS, {"properties": {"enabledState": "Enabled"}})
        with self.assertRaises(ArmError) as caught:
            self.client.put(self.story.lab_path("far-lab"), LABS, {"location": "westus2", "properties": {
                "title": "far", "labPlanId": self.story.plan, "virtualMachineProfile": {
                    "createOption": "TemplateVM", "imageReference": {"id": self.story.generalized},
                    "sku": {"name": "Atelier_Tiny_1_512MB", "capacity": 1}, "usageQuota": "PT10H",
                    "adminUser": {"username": "ayumi", "password": "Kyoshitsu-2026"}}}})
        self.assertEqual(caught.exception.status // 100, 4, caught.exception)
        for name in ("refused-lab", "far-lab"):
            self.refused(404, "ResourceNotFound", self.client.get, self.story.lab_path(name), LABS)

    def make_disk(self, name, size):
        disk = f"{self.story.group}/providers/Microsoft.Compute/disks/{name}"
        self.client.done(self.client.put(disk, DISKS, {"location": REGION, "properties": {
            "creationData": {"createOption": "Upload", "uploadSizeBytes": size}}}))
        return disk

    def test_an_upload_cut_off_half_way_goes_on_where_it_was(self):
        raw = disks.sparse_disk(self.server.data.parent / "cut.raw", 64 << 20, 16 << 20)
        content = raw.read_bytes()
        disk = self.make_disk("cut", len(content))
        sas = self.client.begin_upload(disk)
        half = 8 << 20
        self.client.put_pages(sas, 0, content[:half])
        self.cut_a_put(sas, half, content[half:2 * half])
        self.server.kill()
        self.client.close()
        self.server.start()
        parts = urllib.parse.urlsplit(sas)
        listed = self.client.raw("GET", f"{parts.path}?{parts.query}&comp=pagelist").body.decode()
        self.assertIn("<Start>0</Start>", listed)
        self.assertIn(f"<End>{half - 1}</End>", listed)
        self.assertNotIn(f"<End>{2 * half - 1}</End>", listed, "a cut request counts as received")
        for offset in range(half, len(content), half):
            self.client.put_pages(sas, offset, content[offset:offset + half])
        self.client.done(self.client.post(disk + "/endGetAccess", DISKS))
        self.import_disk("resumed", disk)
        root = [image["root"] for image in disks.list_roots(self.server.data / "stores" / REGION)
                if "resumed" in image.get("label", "")][0]
        back = disks.store_as_raw(self.server.data / "stores" / REGION, root, self.server.data.parent / "back.raw")
        self.assertTrue(disks.same_bytes(raw, back))

    def cut_a_put(self, sas, offset, piece):
        """Announces a whole piece, sends half of it and hangs up."""
        parts = urllib.parse.urlsplit(sas)
        connection = http.client.HTTPSConnection(self.client.url.hostname, self.client.url.port, context=self.client.tls)
        connection.putrequest("PUT", f"{parts.path}?{parts.query}&comp=page")
        connection.putheader("x-ms-page-write", "update")
        connection.putheader("x-ms-range", f"bytes={offset}-{offset + len(piece) - 1}")
        connection.putheader("Content-Length", str(len(piece)))
        connection.endheaders()
        connection.send(piece[:len(piece) // 2])
        connection.close()

    def import_disk(self, name, disk):
        image = self.story.image_path(name)
        self.client.done(self.client.put(image, COMPUTE, {"location": REGION, "properties": {
            "osType": "Linux", "osState": "Specialized", "hyperVGeneration": "V1",
            "identifier": {"publisher": "contoso", "offer": "bad", "sku": name}}}))
        return self.client.done(self.client.put(image + "/versions/1.0.0", COMPUTE, {"location": REGION, "properties": {
            "publishingProfile": {"targetRegions": [{"name": REGION}]},
            "storageProfile": {"osDiskImage": {"source": {"id": disk}}}}}))

    def hostile_disks(self, folder):
        canary = folder / "canary.raw"
        canary.write_bytes(b"CANARY-OF-THE-HOST" * 60000)
        text = folder / "text.txt"
        text.write_text("This is no disk.\n" * 70000)
        picture = folder / "picture.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1 << 20))
        backing = folder / "backing.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(canary), "-F", "raw", str(backing)], check=True)
        data_file = folder / "data-file.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={folder / 'external.raw'},data_file_raw=on",
                        str(data_file), "16M"], check=True)
        encrypted = folder / "encrypted.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(encrypted), "16M"], check=True)
        with open(encrypted, "r+b") as header:
            header.seek(32)
            header.write((2).to_bytes(4, "big"))  # crypt_method: LUKS
        flat = folder / "flat.vmdk"  # its descriptor names a file of the host
        subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", str(flat), "16M"], check=True)
        flat.write_text(flat.read_text().replace("flat-flat.vmdk", str(canary)).ljust(1024, "\n"))
        differencing = folder / "differencing.vhd"
        subprocess.run(["qemu-img", "create", "-q", "-f", "vpc", str(differencing), "16M"], check=True)
        footer = bytearray(differencing.read_bytes()[:512])
        footer[60:64] = (4).to_bytes(4, "big")  # its type: a disk with a parent
        footer[64:68] = bytes(4)
        footer[64:68] = (~sum(footer) & 0xffffffff).to_bytes(4, "big")
        with open(differencing, "r+b") as file:
            file.write(footer)
            file.seek(-512, 2)
            file.write(footer)
        return [text, picture, backing, data_file, encrypted, flat, differencing]

    def test_uploads_that_are_no_disk_or_reach_for_other_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in self.hostile_disks(Path(folder)):
                stem = file.stem.replace("-", "")
                disk = self.client.upload_disk(self.story.group, stem, REGION, file)
                with self.assertRaises(ArmError, msg=file.name) as caught:
                    self.import_disk(stem, disk)
                self.assertLess(caught.exception.status, 500, f"{file.name}: {caught.exception}")
                self.assertNotIn(folder, caught.exception.message)
        labels = [image.get("label", "") for image in disks.list_roots(self.server.data / "stores" / REGION)]
        self.assertFalse([label for label in labels if "backing" in label or "datafile" in label], labels)

    def raw_json(self, method, path, body, headers=None):
        sent = {"Authorization": "Bearer " + self.client.token, "Content-Type": "application/json", **(headers or {})}
        answer = self.client.raw(method, path, body, sent)
        return answer, answer.json().get("error", {})

    def test_bodies_that_are_malformed_or_too_large(self):
        path = urllib.parse.quote(self.story.gallery + "x") + "?api-version=" + COMPUTE
        for body in ("{", "[]", '"text"', "{\"a\":" * 3000, "\xff\xfe", "{\"location\":7}", ""):
            answer, error = self.raw_json("PUT", path, body.encode("latin-1"))
            self.assertEqual(answer.status, 400, f"{body[:20]!r}: {answer.body}")
            self.assertTrue(error.get("code") and error.get("message"), answer.body)
        answer, error = self.raw_json("PUT", path, b"{" + b" " * (5 << 20) + b"}")
        self.assertEqual((answer.status, bool(error.get("code"))), (413, True), answer.body)

    def test_the_api_version(self):
        answer, error = self.raw_json("GET", urllib.parse.quote(self.story.gallery), None)
        self.assertEqual((answer.status, error.get("code")), (400, "MissingApiVersionParameter"))
        answer, error = self.raw_json("GET", urllib.parse.quote(self.story.gallery) + "?api-version=1999-01-01", None)
        self.assertEqual((answer.status, error.get("code")), (400, "InvalidApiVersionParameter"))

    def test_tokens_missing_forged_or_of_another_kind(self):
        path = "/subscriptions?api-version=" + RESOURCES
        header, payload, signature = self.client.token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        claims["exp"] += 10 ** 6
        longer = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        for sent in (None, "", "Bearer", "Bearer nonsense", "Basic YWRtaW46YQ==", f"Bearer {header}.{longer}.{signature}",
                     f"Bearer {none}.{payload}.", f"Bearer {header}.{payload}.{signature[:-6]}AAAAAA", "Bearer " + "x" * 20000):
            answer = self.client.raw("GET", path, None, {"Authorization": sent} if sent is not None else {})
            self.assertEqual(answer.status, 401, f"{str(sent)[:40]}: {answer.body}")
            self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))
            self.assertTrue(answer.json()["error"]["code"])

    def test_a_wrong_password(self):
        stranger = self.server.client()
        stranger.password = "wrong"
        with self.assertRaises(ArmError) as caught:
            stranger.sign_in()
        self.assertIn(caught.exception.status, (400, 401))


if __name__ == "__main__":
    if shutil.which("qemu-img") is None:
        raise SystemExit("qemu-img is missing: run ./dev setup")
    unittest.main(verbosity=2)
