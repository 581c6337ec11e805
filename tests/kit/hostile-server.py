#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server that fails on purpose.

The first component of a request's path names the behaviour, and stands below for one Python function: GET /drip/x is answered by
drip(). The content served is CONTENT, which tests/kit/fetch-table.c makes by the same formula.

    hostile-server.py [--certificates DIR] [--directory DIR]

Listens on loopback ports that the kernel chooses, prints "NAME PORT" for each and then "ready", and serves until its
standard input is closed (so it never outlives the test that started it). With --certificates, DIR/NAME.pem (key and
chain) is served over TLS on a port of its own for each NAME. With --directory, /plain/PATH serves files of DIR, and
/halves/PATH, /flipped/PATH and more serve them broken.
"""
import argparse
import os
import re
import socket
import ssl
import sys
import threading
import time

SIZE = 300000
CONTENT = bytes((i * 31 + (i >> 8) * 17) & 0xFF for i in range(SIZE))
OTHER = bytes(255 - b for b in CONTENT)
TAG = '"tag-1"'
DATE = "Mon, 02 Jan 2006 15:04:05 GMT"
directory = None
ports = {}
counts = {}
connections = {}
lock = threading.Lock()


class Request:
    """One request: where it came from, and how to answer it."""

    def __init__(self, sock, head, connection):
        self.sock = sock
        lines = head.decode("latin-1").split("\r\n")
        self.target = lines[0].split(" ")[1]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.by_proxy = self.target.startswith("http://")
        path = re.sub(r"^http://[^/]*", "", self.target).partition("?")[0]
        self.behaviour, _, self.path = path.lstrip("/").partition("/")
        self.connection = connection
        with lock:
            self.nth = counts[self.behaviour] = counts.get(self.behaviour, 0) + 1

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def head(self, status, *headers):
        self.send("HTTP/1.1 %s\r\n%s\r\n" % (status, "".join(h + "\r\n" for h in headers)))

    def reply(self, status, body, *headers):
        self.head(status, "Content-Length: %d" % len(body), *headers)
        self.send(body)
        return True

    def range(self):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2])) if match else None

    def part(self, content, first, last, *headers, size=None):
        return self.reply("206 Partial Content", content[first:last + 1],
                          "Content-Range: bytes %d-%d/%d" % (first, last, size or len(content)), *headers)

    def serve(self, content=CONTENT, *headers, ranges=True):
        """What a good server does."""
        headers = headers or ("ETag: " + TAG, "Last-Modified: " + DATE)
        wanted = self.range()
        if wanted and ranges:
            return self.part(content, wanted[0], wanted[1], *headers)
        return self.reply("200 OK", content, *headers)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def break_off(self, *headers, content=CONTENT):
        """Promises everything, sends two thirds."""
        self.head("200 OK", "Content-Length: %d" % len(content), *headers)
        self.send(content[:len(content) * 2 // 3])
        return False


# --- bodies -----------------------------------------------------------------------------------------------------------

def good(r):
    if "accept-encoding" in r.headers:
        return r.reply("400 Accept-Encoding was sent", b"")
    return r.serve()


def no_length(r):
    r.head("200 OK", "Connection: close")
    r.send(CONTENT)


def no_length_stays_open(r):
    r.head("200 OK")
    r.send(CONTENT)
    time.sleep(5)


def endless(r):
    r.head("200 OK")
    while True:
        r.send(CONTENT)


def chunked(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    for at in range(0, SIZE, 70000):
        r.chunk(CONTENT[at:at + 70000])
    r.send("0\r\n\r\n")
    return True


def chunked_one_more(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    r.chunk(CONTENT)
    r.chunk(b"!")
    r.send("0\r\n\r\n")


def chunked_more_later(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    r.chunk(CONTENT)
    time.sleep(0.2)
    r.chunk(b"!")
    r.send("0\r\n\r\n")


def chunked_endless(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    while True:
        r.chunk(CONTENT)


def chunked_garbage(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    r.send("zzz\r\nhello\r\n")


def chunked_trailer_flood(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    r.chunk(CONTENT)
    r.send("0\r\n")
    for i in range(20000):
        r.send("X-%d: %s\r\n" % (i, "x" * 100))
    r.send("\r\n")


def length_too_large(r):
    return r.reply("200 OK", CONTENT + b"!")


def length_too_small(r):
    return r.reply("200 OK", CONTENT[:-1])


def two_lengths(r):
    r.head("200 OK", "Content-Length: %d" % SIZE, "Content-Length: %d" % (SIZE - 1))
    r.send(CONTENT)


def odd_length(r):
    r.head("200 OK", "Content-Length: %dk" % SIZE)
    r.send(CONTENT)


def negative_length(r):
    r.head("200 OK", "Content-Length: -1")
    r.send(CONTENT)


def encoded(r):
    return r.reply("200 OK", CONTENT, "Content-Encoding: gzip")


def other_content(r):
    return r.serve(OTHER)


def drip(r):
    r.head("200 OK", "Content-Length: %d" % SIZE)
    for i in range(SIZE):
        r.send(CONTENT[i:i + 1])
        time.sleep(1)


# --- transfers that break, and what comes after -----------------------------------------------------------------------

def truncated_always(r):
    return r.break_off()


def truncated_tagged(r):
    return r.break_off("ETag: " + TAG)


def truncated_once(r):
    if r.nth == 1:
        return r.break_off("ETag: " + TAG)
    if r.headers.get("if-range") != TAG or not r.range():
        return r.reply("400 If-Range is missing", b"")
    return r.serve()


def truncated_weak_tag(r):
    if r.nth == 1:
        return r.break_off("ETag: W/" + TAG, "Last-Modified: " + DATE)
    if r.headers.get("if-range") != DATE or not r.range():
        return r.reply("400 If-Range is missing", b"")
    return r.serve()


def truncated_no_validator(r):
    if r.nth == 1:
        return r.break_off()
    return r.reply("400 a range without a validator", b"") if r.range() else r.serve()


def truncated_then_whole(r):
    return r.break_off("ETag: " + TAG) if r.nth == 1 else r.serve(ranges=False)


def truncated_then_changed(r):
    return r.break_off("ETag: " + TAG) if r.nth == 1 else r.serve(OTHER, 'ETag: "tag-2"', ranges=False)


def truncated_then_other_part(r):
    return r.break_off("ETag: " + TAG) if r.nth == 1 else r.serve(OTHER, 'ETag: "tag-2"')


def truncated_then_gone(r):
    return r.break_off("ETag: " + TAG) if r.nth == 1 else r.reply("404 Not Found", b"")


def stalls_once(r):
    if r.nth > 1:
        return r.serve()
    r.break_off("ETag: " + TAG)
    time.sleep(5)


def inches(r):
    """Every connection brings one byte more: progress, but not worth the patience."""
    wanted = r.range()
    if wanted:
        r.head("206 Partial Content", "ETag: " + TAG, "Content-Length: %d" % (wanted[1] - wanted[0] + 1),
               "Content-Range: bytes %d-%d/%d" % (wanted[0], wanted[1], SIZE))
    else:
        wanted = (0, 0)
        r.head("200 OK", "Content-Length: %d" % SIZE, "ETag: " + TAG)
    r.send(CONTENT[wanted[0]:wanted[0] + 1])


def small_truncated_once(r):
    return r.break_off(content=CONTENT[:1000]) if r.nth == 1 else r.serve(CONTENT[:1000])


def anew(r):
    """/anew/BEHAVIOUR/...: the behaviour, its requests counted from 1 again."""
    name, _, r.path = r.path.partition("/")
    with lock:
        r.nth = counts["anew/" + name] = counts.get("anew/" + name, 0) + 1
    return globals()[name](r)


def second_mirror(r):
    """Goes on where another server broke off: without that server's validator."""
    if not r.range() or "if-range" in r.headers:
        return r.reply("400 wrong kind of resume", b"")
    return r.serve(CONTENT, 'ETag: "another server names it otherwise"')


# --- heads ------------------------------------------------------------------------------------------------------------

def silent(r):
    time.sleep(5)


def slow_head(r):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n":
        r.send(bytes([byte]))
        time.sleep(0.2)


def head_flood(r):
    r.send("HTTP/1.1 200 OK\r\n")
    for i in range(100000):
        r.send("X-%d: %s\r\n" % (i, "x" * 1000))


def long_header(r):
    r.send("HTTP/1.1 200 OK\r\nX: ")
    while True:
        r.send("x" * 10000)


def interim_flood(r):
    while True:
        r.send("HTTP/1.1 100 Continue\r\n\r\n" * 100)


def not_http(r):
    r.send("220 mail.example ESMTP\r\n" * 10)


def status_garbage(r):
    r.send("HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n")


def empty_answer(r):
    pass


def connection_reset(r):
    r.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


# --- refusals ---------------------------------------------------------------------------------------------------------

def status(r):
    """/status/CODE/..."""
    return r.reply(r.path.split("/")[0] + " Hostile", b"<html>no</html>")


def refuses_endlessly(r):
    r.head("404 Not Found")
    while True:
        r.send(CONTENT)


def busy(r):
    return r.reply("503 Busy", b"later", "Retry-After: 0")


def busy_once(r):
    return r.serve() if r.nth > 1 else r.reply("503 Busy", b"later", "Retry-After: 1")


def busy_until_date(r):
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    return r.serve() if r.nth > 1 else r.reply("503 Busy", b"later", "Retry-After: " + date)


def busy_for_a_day(r):
    return r.serve() if r.nth > 1 else r.reply("503 Busy", b"later", "Retry-After: 86400")


def too_many_once(r):
    return r.serve() if r.nth > 1 else r.reply("429 Too Many Requests", b"")


def error_once(r):
    return r.serve() if r.nth > 1 else r.reply("500 Oops", b"")


# --- redirects --------------------------------------------------------------------------------------------------------

def redirect(r, to):
    return r.reply("302 Found", b"<html>there</html>", "Location: " + to)


def redirect_good(r):
    return redirect(r, "/good/blob")


def redirect_loop(r):
    return redirect(r, "/redirect_loop/blob")


def redirect_file(r):
    return redirect(r, "file:///etc/passwd")


def redirect_ftp(r):
    return redirect(r, "ftp://127.0.0.1/blob")


def redirect_nowhere(r):
    return r.reply("302 Found", b"")


def redirect_http(r):
    return redirect(r, "http://127.0.0.1:%d/good/blob" % ports["http"])


def redirect_https(r):
    return redirect(r, "https://127.0.0.1:%d/good/blob" % ports["good"])


def redirect_https_self_signed(r):
    return redirect(r, "https://127.0.0.1:%d/good/blob" % ports["self-signed"])


def redirect_secret(r):
    return redirect(r, "http://user:secret@127.0.0.1:%d/status/400/blob?token=secret" % ports["http"])


def redirect_endless_body(r):
    r.head("302 Found", "Location: /good/blob")
    while True:
        r.send(CONTENT)


# --- ranges -----------------------------------------------------------------------------------------------------------

def no_ranges(r):
    return r.serve(ranges=False)


def part_unasked(r):
    return r.part(CONTENT, 0, SIZE - 1)


def part_shifted(r):
    first, last = r.range()
    return r.part(CONTENT, first + 1, last + 1)


def part_of_another_size(r):
    return r.part(CONTENT, *r.range(), size=SIZE + 1)


def part_of_unknown_size(r):
    first, last = r.range()
    return r.reply("206 Partial Content", CONTENT[first:last + 1], "Content-Range: bytes %d-%d/*" % (first, last))


def part_without_range(r):
    first, last = r.range()
    return r.reply("206 Partial Content", CONTENT[first:last + 1])


def part_odd_range(r):
    first, last = r.range()
    return r.reply("206 Partial Content", CONTENT[first:last + 1], "Content-Range: bytes %d-%d/99999999999999999999999"
                   % (first, last))


def part_multiple(r):
    body = b"--x\r\nContent-Range: bytes 0-1/300000\r\n\r\nab\r\n--x--\r\n"
    return r.reply("206 Partial Content", body, "Content-Type: multipart/byteranges; boundary=x")


def part_length_differs(r):
    first, last = r.range()
    return r.reply("206 Partial Content", CONTENT[first:last + 2], "Content-Range: bytes %d-%d/%d" % (first, last, SIZE))


def part_too_long(r):
    first, last = r.range()
    r.head("206 Partial Content", "Transfer-Encoding: chunked", "Content-Range: bytes %d-%d/%d" % (first, last, SIZE))
    r.chunk(CONTENT[first:last + 2])
    r.send("0\r\n\r\n")


def part_more_later(r):
    first, last = r.range()
    r.head("206 Partial Content", "Transfer-Encoding: chunked", "Content-Range: bytes %d-%d/%d" % (first, last, SIZE))
    r.chunk(CONTENT[first:last + 1])
    time.sleep(0.2)
    r.chunk(b"!")
    r.send("0\r\n\r\n")


def part_too_short(r):
    first, last = r.range()
    r.head("206 Partial Content", "Transfer-Encoding: chunked", "Content-Range: bytes %d-%d/%d" % (first, last, SIZE))
    r.chunk(CONTENT[first:last])
    r.send("0\r\n\r\n")


# --- what was seen ----------------------------------------------------------------------------------------------------

def connection_number(r):
    """Which connection of this server the request came over, as text."""
    return r.reply("404 Not Found", b"x" * 20000) if r.path == "missing" else r.reply("200 OK", b"%d" % r.connection)


def through_proxy(r):
    return r.reply("200 OK", b"proxied" if r.by_proxy else b"direct")


# --- a real repository, broken ----------------------------------------------------------------------------------------

def file_content(r):
    path = os.path.normpath(os.path.join(directory, r.path))
    if not path.startswith(directory + "/") or not os.path.isfile(path):
        r.reply("404 Not Found", b"")
        return None
    with open(path, "rb") as file:
        return file.read()


def plain(r):
    content = file_content(r)
    return True if content is None else r.serve(content, 'ETag: "%d"' % len(content))


def large(r):
    """Is this one of the blobs worth breaking? The small files before it shall arrive."""
    return r.path.startswith("blobs/") and os.path.getsize(os.path.join(directory, r.path)) > 100000


def halves(r):
    """Every answer for a large blob stops half way, and ranges are not served."""
    content = file_content(r)
    if content is None:
        return True
    return r.break_off(content=content) if large(r) else r.serve(content, 'ETag: "1"')


def breaks_once(r):
    """The first answer for each large blob stops half way; the rest goes by range."""
    content = file_content(r)
    if content is None:
        return True
    with lock:
        counts[r.path] = nth = counts.get(r.path, 0) + 1
    return r.break_off("ETag: " + TAG, content=content) if large(r) and nth == 1 else r.serve(content)


def flipped(r):
    """One bit in the middle of each large blob."""
    content = file_content(r)
    if content is None:
        return True
    if large(r):
        middle = len(content) // 2
        content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]
    return r.serve(content)


def shorter(r):
    """Metadata that ends half way, and says so."""
    content = file_content(r)
    if content is None:
        return True
    return r.serve(content[:len(content) // 2] if r.path.startswith("metadata/") else content)


def endless_timestamp(r):
    if not r.path.endswith("timestamp.json"):
        return plain(r)
    r.head("200 OK")
    while True:
        r.send(b" " * 65536)


def slowly(r):
    """Large blobs take ten seconds, so that something can happen meanwhile."""
    content = file_content(r)
    if content is None:
        return True
    if not large(r):
        return r.serve(content)
    r.head("200 OK", "Content-Length: %d" % len(content))
    piece = len(content) // 100 + 1
    for at in range(0, len(content), piece):
        r.send(content[at:at + piece])
        time.sleep(0.1)
    return True


# --- the server -------------------------------------------------------------------------------------------------------

def serve_connection(sock, context, number):
    try:
        sock.settimeout(20)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = sock.recv(65536)
                if not data:
                    return
                pending += data
                if pending[0] < 32:  # TLS, to a server that has none
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    return
            head, _, pending = pending.partition(b"\r\n\r\n")
            request = Request(sock, head, number)
            behaviour = globals().get(request.behaviour)
            if not callable(behaviour) or not behaviour(request):
                return
    except (OSError, ssl.SSLError):
        pass  # the client has gone, as many of these answers want it
    finally:
        sock.close()


def listen(name, context):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ports[name] = listener.getsockname()[1]
    print(name, ports[name], flush=True)

    def accept():
        for number in range(1, 1 << 30):
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve_connection, args=(sock, context, number), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def main():
    global directory
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificates")
    parser.add_argument("--directory")
    options = parser.parse_args()
    directory = os.path.abspath(options.directory) if options.directory else None
    listen("http", None)
    for file in sorted(os.listdir(options.certificates)) if options.certificates else []:
        if file.endswith(".pem"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(options.certificates, file))
            if file == "old.pem":
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
                context.set_ciphers("ALL:@SECLEVEL=0")
            listen(file[:-4], context)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
