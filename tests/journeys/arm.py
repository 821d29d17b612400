"""A small ARM client on Python's standard library, so that the journeys depend on nothing of ours but the REST surface."""

import http.client
import json
import ssl
import time
import urllib.parse

COMPUTE = "2022-03-03"
DISKS = "2022-07-02"
LABS = "2022-08-01"
RESOURCES = "2021-04-01"
GIVE_UP_SECONDS = 300


class ArmError(Exception):
    """An answer with a status of 400 or more, in ARM's shape."""

    def __init__(self, status, code, message, target=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.target = status, code, message, target


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body) if self.body else {}


class Client:
    def __init__(self, base_url, ca_file, user=None, password=None):
        self.base_url = base_url
        self.url = urllib.parse.urlsplit(base_url)
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.token = None
        self.user, self.password = user, password
        self.connection = None

    def raw(self, method, target, body=None, headers=None):
        """One request as it is; reconnects once when a kept connection was closed in between."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.tls, timeout=120)
            try:
                self.connection.request(method, target, body=body, headers=headers or {})
                got = self.connection.getresponse()
                return Answer(got.status, got.headers, got.read())
            except (ConnectionError, http.client.HTTPException, OSError):
                self.close()
                if attempt == 2:
                    raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def sign_in(self):
        form = urllib.parse.urlencode({"grant_type": "password", "client_id": "atelier-journeys", "username": self.user,
                                       "password": self.password, "scope": self.base_url + "/.default"})
        answer = self.raw("POST", "/adfs/oauth2/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status != 200:
            raise ArmError(answer.status, answer.json().get("error"), answer.json().get("error_description"))
        self.token = answer.json()["access_token"]

    def call(self, method, path, version, body=None, query=""):
        if self.token is None and self.user:
            self.sign_in()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if path.startswith("https://"):
            path = path.removeprefix(self.base_url)
        target = urllib.parse.quote(path, safe="/?&=$%")
        if "api-version=" not in target:
            target += ("&" if "?" in target else "?") + "api-version=" + version
        if query:
            target += "&" + urllib.parse.quote(query, safe="=&$")
        answer = self.raw(method, target, None if body is None else json.dumps(body), headers)
        if answer.status >= 400:
            error = answer.json().get("error", {})
            raise ArmError(answer.status, error.get("code"), error.get("message"), error.get("target"))
        return answer

    def get(self, path, version, query=""):
        return self.call("GET", path, version, query=query).json()

    def wait(self, answer, seen=None):
        """Follows a long operation to its end as clients do; gives the status body. `seen` gets each body on the way."""
        url = answer.headers.get("Azure-AsyncOperation")
        if url is None:
            return {"status": "Succeeded"}
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                status = self.call("GET", url, LABS).json()
            except OSError:  # the server is being restarted
                time.sleep(0.3)
                continue
            if seen is not None:
                seen(status)
            if status["status"] in ("Succeeded", "Failed", "Canceled"):
                return status
            time.sleep(0.2)
        raise TimeoutError(f"{url} did not end in {GIVE_UP_SECONDS} s; last seen: {status}")

    def done(self, answer, seen=None):
        """Like wait, and anything but success is an error."""
        status = self.wait(answer, seen)
        if status["status"] != "Succeeded":
            error = status.get("error", {})
            raise ArmError(answer.status, error.get("code"), f"{status['status']}: {error.get('message')}")
        return status

    def put(self, path, version, body):
        return self.call("PUT", path, version, body)

    def patch(self, path, version, body):
        return self.call("PATCH", path, version, body)

    def post(self, path, version, body=None):
        return self.call("POST", path, version, body)

    def delete(self, path, version):
        return self.call("DELETE", path, version)

    def subscription(self):
        return self.get("/subscriptions", "2019-11-01")["value"][0]["id"]

    def upload_disk(self, group, name, location, file, piece_bytes=4 << 20):
        """A disk resource whose bytes are those of `file`: created, written piece by piece without the zero pieces, closed."""
        size = file.stat().st_size
        disk = f"{group}/providers/Microsoft.Compute/disks/{name}"
        self.done(self.put(disk, DISKS, {"location": location, "properties": {
            "creationData": {"createOption": "Upload", "uploadSizeBytes": size}}}))
        sas = self.begin_upload(disk)
        with open(file, "rb") as source:
            offset = 0
            while piece := source.read(piece_bytes):
                if piece.count(0) != len(piece):
                    self.put_pages(sas, offset, piece)
                offset += len(piece)
        self.done(self.post(disk + "/endGetAccess", DISKS))
        return disk

    def begin_upload(self, disk):
        answer = self.post(disk + "/beginGetAccess", DISKS, {"access": "Write", "durationInSeconds": 3600})
        if answer.status == 202:
            self.done(answer)
            answer = self.call("GET", answer.headers["Location"], DISKS)
        return answer.json()["accessSAS"]

    def put_pages(self, sas, offset, piece):
        parts = urllib.parse.urlsplit(sas)
        answer = self.raw("PUT", f"{parts.path}?{parts.query}&comp=page", piece,
                          {"x-ms-page-write": "update", "x-ms-range": f"bytes={offset}-{offset + len(piece) - 1}",
                           "Content-Type": "application/octet-stream"})
        if answer.status != 201:
            raise ArmError(answer.status, answer.headers.get("x-ms-error-code"), answer.body.decode(errors="replace"))
