#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy before an S3 server that checks signatures, counts requests and makes bad moments.

    s3-proxy.py PORT DIRECTORY [DATA]

Forwards to 127.0.0.1:PORT. s3rver believes any signature of version 4, so the proxy computes it anew, by Amazon's description,
from the secret S3RVER, and answers 403 where it differs or where the body is not the one that was signed. What carries no
signature may only read. Prints its own port, then serves until its standard
input is closed. In DIRECTORY: `log` has a line "METHOD PATH STATUS" per request; where a file `fault` says "N HOW", the Nth
request after it was written (where N is no number: each one whose address holds it) is met with HOW: `kill` (SIGKILL to the process whose number is in the file `pid`, before the
request is forwarded), `kill-after` (the same, after the server has answered), `503` (an answer without forwarding), `cut` (the
connection is closed).

s3rver has no list of uploads in parts, nor gives it one up. With DATA, its data directory, the proxy answers both for it, by Amazon's
description, two uploads at a time.
"""
import hashlib
import hmac
import http.client
import http.server
import os
import re
import signal
import sys
import threading
import urllib.parse
import shutil
import time
import xml.sax.saxutils

target, directory = int(sys.argv[1]), sys.argv[2]
data = sys.argv[3] if len(sys.argv) > 3 else None
lock = threading.Lock()
state = {"count": 0, "stamp": None, "number": 0, "how": ""}


def next_fault(target):
    """What this request is met with."""
    with lock:
        path = os.path.join(directory, "fault")
        try:
            stamp = os.stat(path).st_mtime_ns
            if stamp != state["stamp"]:
                with open(path) as f:
                    number, how = f.read().split()
                state.update(stamp=stamp, count=0, number=int(number) if number.isdigit() else number, how=how)
        except FileNotFoundError:
            state.update(stamp=None, number=0)
        state["count"] += 1
        if isinstance(state["number"], str):
            return state["how"] if state["number"] in target else ""
        return state["how"] if state["number"] == state["count"] else ""


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quoted(text):
    return urllib.parse.quote(text, safe="-._~")


def refusal(method, target, headers, body):
    """The code of an error, None where the request may pass."""
    given = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
                         r"Signature=([0-9a-f]{64})", headers.get("authorization", ""))
    if not given:
        return None if method in ("GET", "HEAD") and "authorization" not in headers else "AccessDenied"
    key, day, region, names, signature = given.groups()
    names = names.split(";")
    if key != "S3RVER":
        return "InvalidAccessKeyId"
    # Everything of ours must be signed, and nothing that was not sent.
    needed = {"host"} | {n for n in headers if n.startswith("x-amz-")}
    if names != sorted(names) or not needed <= set(names) or not set(names) <= set(headers):
        return "SignatureDoesNotMatch"
    if hashlib.sha256(body).hexdigest() != headers.get("x-amz-content-sha256"):
        return "XAmzContentSHA256Mismatch"
    path, _, query = target.partition("?")
    pairs = sorted((quoted(urllib.parse.unquote(n)), quoted(urllib.parse.unquote(v)))
                   for n, _, v in (p.partition("=") for p in query.split("&") if p))
    canonical = "\n".join([method, urllib.parse.quote(urllib.parse.unquote(path), safe="/-._~"),
                           "&".join("%s=%s" % p for p in pairs)] +
                          ["%s:%s" % (n, " ".join(headers[n].split())) for n in names] +
                          ["", ";".join(names), headers["x-amz-content-sha256"]])
    stamp = headers["x-amz-date"]
    scope = "%s/%s/s3/aws4_request" % (day, region)
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = hmac_sha256(b"AWS4S3RVER", day)
    for part in (region, "s3", "aws4_request"):
        secret = hmac_sha256(secret, part)
    right = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return None if stamp.startswith(day) and right == signature else "SignatureDoesNotMatch"


def uploads(bucket):
    """[(key, id, begun)] in the order of a list."""
    found = []
    for top, _, names in os.walk(os.path.join(data, bucket)):
        if "key" in names and "metadata" in names:
            with open(os.path.join(top, "key")) as f:
                found.append((f.read(), os.path.basename(top), os.stat(os.path.join(top, "key")).st_mtime, top))
    return sorted(found)


def list_uploads(bucket, query):
    given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    after = (given.get("key-marker", ""), given.get("upload-id-marker", ""))
    found = [u for u in uploads(bucket) if u[0].startswith(given.get("prefix", "")) and u[:2] > after]
    text = "<ListMultipartUploadsResult><IsTruncated>%s</IsTruncated>" % ("true" if len(found) > 2 else "false")
    if len(found) > 2:
        text += "<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>" % found[1][:2]
    for key, name, begun, _ in found[:2]:
        text += "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>" % (
            xml.sax.saxutils.escape(key), name, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(begun)))
    return 200, (text + "</ListMultipartUploadsResult>").encode()


def give_up(bucket, key, query):
    name = dict(urllib.parse.parse_qsl(query)).get("uploadId")
    for found in uploads(bucket):
        if found[:2] == (key, name):
            shutil.rmtree(found[3])
            return 204, b""
    return 404, b"<Error><Code>NoSuchUpload</Code></Error>"


def kill():
    with open(os.path.join(directory, "pid")) as f:
        os.kill(int(f.read()), signal.SIGKILL)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):
        pass

    def answer(self, status, headers, body):
        with lock, open(os.path.join(directory, "log"), "a") as f:
            f.write("%s %s %d\n" % (self.command, self.path, status))
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = dict((n.lower(), v) for n, v in headers).get("content-length") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        refused = refusal(self.command, self.path, {n.lower(): v for n, v in self.headers.items()}, body)
        if refused:
            return self.answer(403, [("Content-Type", "application/xml")],
                               b"<Error><Code>%s</Code><Message>Refused by the proxy.</Message></Error>" % refused.encode())
        fault = next_fault(self.path)
        if fault == "kill":
            kill()
            self.close_connection = True
            return
        if fault == "cut":
            self.close_connection = True
            return
        if fault == "503":
            return self.answer(503, [("Content-Type", "application/xml")],
                               b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
        path, _, query = self.path.partition("?")
        bucket, _, key = path.lstrip("/").partition("/")
        done = None
        if data and self.command == "GET" and "uploads=" in query.split("&"):
            done = list_uploads(bucket, query)
        if data and self.command == "DELETE" and "uploadId=" in query:
            done = give_up(bucket, key, query)
        if done:
            return self.answer(done[0], [("Content-Type", "application/xml")], done[1])
        connection = http.client.HTTPConnection("127.0.0.1", target)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        if fault == "kill-after":
            kill()
            self.close_connection = True
            return
        self.answer(response.status, response.getheaders(), content)
        connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
