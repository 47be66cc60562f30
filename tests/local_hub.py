"""A small server with the part of the Hugging Face Hub's HTTP interface that a repository needs."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "a" * 40


class LocalHub(BaseHTTPRequestHandler):
    """Serve and take the files of one repository; a file has its name at any address."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        self.server.requests.append(f"{self.command} {self.path}")
        data = self.server.files.get(urlsplit(self.path).path.rsplit("/", 1)[1])
        if data is None or self.server.down:
            self.send_response(503 if self.server.down else 404)
            if data is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_POST(self):
        self.server.requests.append(f"POST {self.path}")
        self.server.tokens.append(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            created = json.loads(body)
            self.reply({"url": f"/{created.get('organization')}/{created['name']}"})
        elif "/preupload/" in self.path:
            files = [{"path": one["path"]} for one in json.loads(body)["files"]]
            extra = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self.reply({"files": [one | extra for one in files]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(
                        line["value"]["content"]
                    )
            self.reply({"commitUrl": f"/me/x/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.reply({"errors": [], "warnings": []})

    def reply(self, document):
        data = json.dumps(document).encode()
        self.send_response(403 if self.server.down else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


@contextmanager
def local_hub(files):
    """Yield a running server: `address`, `files` by name, `requests`, `tokens`, and `down`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), LocalHub)
    server.files, server.requests, server.tokens, server.down = dict(files), [], [], False
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield server
    server.shutdown()
    server.server_close()
