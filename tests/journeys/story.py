#!/usr/bin/env python3
"""The story of the product, played through the REST API against a running server; prints what it saw at each step.

  1 a gallery and a lab account, attached   2 an image uploaded as generalized   3 a lab from it: an identity of its own
  4 work in the template VM, then export    5 a specialized version in every region of the geography
  6 another lab from that image, with the first teacher's files   7 both images stay usable

Usage: story.py --url URL --ca FILE --user admin --password SECRET --image tiny.qcow2 [--prefix NAME]
"""

import argparse
import json
import sys
import time
from pathlib import Path

from arm import COMPUTE, LABS, RESOURCES, Client
from guest import Guest

REGION = "japaneast"
GEOGRAPHY = {"japaneast", "japanwest"}
SIZE = "Atelier_Tiny_1_512MB"


class Story:
    """The steps in order; each leaves what the next needs in a field, and raises when it saw something wrong."""

    def __init__(self, client, image_file, prefix="story", say=print, export_started=None):
        self.client, self.image_file, self.prefix, self.say = client, Path(image_file), prefix, say
        self.export_started = export_started  # called with the operation's URL right after saveImage was accepted
        self.group = f"{client.subscription()}/resourceGroups/{prefix}-rg"
        self.gallery = f"{self.group}/providers/Microsoft.Compute/galleries/{prefix}gallery"
        self.plan = f"{self.group}/providers/Microsoft.LabServices/labPlans/{prefix}-account"

    def lab_path(self, name):
        return f"{self.group}/providers/Microsoft.LabServices/labs/{name}"

    def image_path(self, name):
        return f"{self.gallery}/images/{name}"

    def create_and_attach(self):
        c = self.client
        c.put(self.group, RESOURCES, {"location": REGION})
        c.done(c.put(self.gallery, COMPUTE, {"location": REGION, "properties": {"description": "Images of all teachers"}}))
        c.done(c.put(self.plan, LABS, {"location": REGION, "properties": {}}))
        c.done(c.patch(self.plan, LABS, {"properties": {"sharedGalleryId": self.gallery}}))
        attached = c.get(self.plan, LABS)["properties"]["sharedGalleryId"]
        expect(attached.lower() == self.gallery.lower(), f"the lab account shows {attached}")
        self.say(f"1 attached {self.prefix}gallery to {self.prefix}-account")

    def upload_generalized(self):
        c = self.client
        self.generalized = self.image_path("tiny-generalized")
        c.done(c.put(self.generalized, COMPUTE, {"location": REGION, "properties": {
            "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V1",
            "identifier": {"publisher": "contoso", "offer": "tiny", "sku": "generalized"}}}))
        disk = c.upload_disk(self.group, f"{self.prefix}-upload", REGION, self.image_file)
        c.done(c.put(self.generalized + "/versions/1.0.0", COMPUTE, {"location": REGION, "properties": {
            "publishingProfile": {"targetRegions": [{"name": REGION}]},
            "storageProfile": {"osDiskImage": {"source": {"id": disk}}}}}))
        self.say(f"2 uploaded {self.image_file.name} ({self.image_file.stat().st_size >> 20} MiB) as a generalized image")

    def request_lab(self, name, image, user, password):
        """The lab's status body once its template VM runs; looks at no guest."""
        c = self.client
        return c.done(c.put(self.lab_path(name), LABS, {"location": REGION, "properties": {
            "title": name, "labPlanId": self.plan, "virtualMachineProfile": {
                "createOption": "TemplateVM", "imageReference": {"id": image}, "sku": {"name": SIZE, "capacity": 1},
                "usageQuota": "PT10H", "useSharedPassword": "Enabled",
                "adminUser": {"username": user, "password": password}}}}))

    def create_lab(self, name, image, user, password):
        started = time.monotonic()
        self.request_lab(name, image, user, password)
        seconds = time.monotonic() - started
        machine = self.client.get(self.lab_path(name) + "/virtualMachines/template", LABS)
        expect(machine["properties"]["vmType"] == "Template", f"{name}: {machine}")
        guest = Guest(machine["properties"]["connectionProfile"]["sshAuthority"], user, password)
        guest.wait_until_up()
        return guest, seconds

    def first_lab(self):
        self.teacher = ("ayumi", "Kyoshitsu-2026")
        self.first, seconds = self.create_lab(f"{self.prefix}-lab-1", self.generalized, *self.teacher)
        self.first_identity = self.first.identity()
        expect(len(self.first_identity["machine_id"]) == 32, f"machine-id {self.first_identity}")
        expect(self.first_identity["host_name"].startswith(self.prefix), f"host name {self.first_identity}")
        self.say(f"3 lab 1 runs {seconds:.1f} s after it was asked for: {self.first_identity}")

    def work_and_export(self):
        c = self.client
        self.first.work_as_teacher(self.say)
        self.vm = self.lab_path(f"{self.prefix}-lab-1") + "/virtualMachines/0"
        c.done(c.post(self.vm + "/stop", LABS))
        seen = []
        answer = c.post(self.plan + "/saveImage", LABS, {"name": "prepared", "labVirtualMachineId": self.vm})
        if self.export_started:
            self.export_started(answer)
        status = c.done(answer, lambda body: seen.append(body))
        self.exported = self.image_path("prepared")
        progress = status["properties"]["progress"]
        expect(progress["bytesTotal"] > 0 and progress["bytesDone"] == progress["bytesTotal"], f"progress {progress}")
        self.say(f"4 exported 'prepared': {progress['newBytes'] >> 10} KiB new, {progress['knownBytes'] >> 10} KiB known; "
                 f"{len(seen)} looks at the operation")

    def replicated(self):
        c = self.client
        deadline = time.monotonic() + 120
        while True:
            version = c.get(self.exported + "/versions/1.0.0", COMPUTE, "$expand=ReplicationStatus")
            summary = {normal(each["region"]): each["state"] for each in version["properties"]["replicationStatus"]["summary"]}
            if set(summary.values()) == {"Completed"} and set(summary) == GEOGRAPHY:
                break
            expect("Failed" not in summary.values() and time.monotonic() < deadline, f"replication: {summary}")
            time.sleep(0.3)
        definition = c.get(self.exported, COMPUTE)
        expect(definition["properties"]["osState"] == "Specialized", f"definition {definition}")
        self.say(f"5 specialized version 1.0.0, by region: {json.dumps(summary)}")

    def second_lab(self):
        c = self.client
        images = c.get(self.plan + "/images", LABS)["value"]
        picked = next(image for image in images if image["name"] == "prepared")
        expect(picked["properties"]["enabledState"] == "Enabled", f"image {picked}")
        self.second, seconds = self.create_lab(f"{self.prefix}-lab-2", picked["properties"]["sharedGalleryId"], *self.teacher)
        identity = self.second.identity()
        expect(identity == self.first_identity, f"a specialized image changed its identity: {identity}")
        self.second.expect_teachers_work()
        self.say(f"6 lab 2 runs {seconds:.1f} s after it was asked for, with the first teacher's files, user and machine-id")

    def both_usable(self):
        third, _ = self.create_lab(f"{self.prefix}-lab-3", self.generalized, "jiro", "Betsu-no-2026")
        identity = third.identity()
        expect(identity["machine_id"] != self.first_identity["machine_id"], f"two labs with one machine-id: {identity}")
        expect(identity["host_key"] != self.first_identity["host_key"], "two labs with one ssh host key")
        self.say(f"7 the generalized image still makes labs of their own identity: {identity}")

    def play(self):
        for step in (self.create_and_attach, self.upload_generalized, self.first_lab, self.work_and_export, self.replicated,
                     self.second_lab, self.both_usable):
            step()

    def clean_up(self):
        c = self.client
        for number in (1, 2, 3):
            c.done(c.delete(self.lab_path(f"{self.prefix}-lab-{number}"), LABS))
        c.done(c.delete(self.group, RESOURCES))


def normal(region):
    return region.lower().replace(" ", "")


def expect(condition, otherwise):
    if not condition:
        raise AssertionError(otherwise)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--ca", required=True)
    arguments.add_argument("--user", default="admin")
    arguments.add_argument("--password", required=True)
    arguments.add_argument("--image", required=True)
    arguments.add_argument("--prefix", default=f"story{int(time.time())}")
    given = arguments.parse_args()
    story = Story(Client(given.url, given.ca, given.user, given.password), given.image, given.prefix)
    story.play()
    story.clean_up()
    print("The story holds.")


if __name__ == "__main__":
    sys.exit(main())
