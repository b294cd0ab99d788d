"""The origin: images by name, with the faults that the plan has for them."""

import re
import socket
import struct
import threading
import time

PIECE = 64 << 10
# Little enough that what a killed daemon had not read yet does not count as sent.
SEND_BUFFER = 128 << 10


class Origin:
    """A web server on a port of its own, one thread for each connection."""

    def __init__(self, tally):
        self.tally = tally
        self.images = {}  # name: Image, the version that is there now
        self.versions = {}  # name: every version that ever was
        self.faults = {}  # name: what the next answers have wrong, in order; the last one stays if it is for ever
        self.lock = threading.Lock()
        self.progress = threading.Condition(self.lock)
        self.sent = 0
        self.sent_of = {}
        self.ends = 0  # answers sent to their last byte
        self.requests = []
        self.rate = None  # bytes a second of one answer
        self.go_on = threading.Event()
        self.listener, self.port = None, 0
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(256)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def refuse(self):
        """Nobody listens any more, until `listen`."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.go_on.set()
        self.refuse()

    def put(self, image):
        with self.lock:
            self.images[image.name] = image
            self.versions.setdefault(image.name, []).append(image)

    def plant(self, name, faults):
        with self.lock:
            self.faults[name] = list(faults)

    def next_fault(self, name):
        with self.lock:
            faults = self.faults.get(name)
            if not faults:
                return {"kind": "none"}
            fault = faults[0] if faults[0].get("for ever") else faults.pop(0)
        self.tally.fault(fault["kind"])
        return fault

    def count(self, name, number):
        self.tally.add("sent", number)
        with self.progress:
            self.sent += number
            self.sent_of[name] = self.sent_of.get(name, 0) + number
            self.progress.notify_all()

    def ended(self, image):
        """An image was sent to its last byte."""
        self.tally.add("fetched")
        self.tally.add("fetched bytes", image.size)
        with self.progress:
            self.ends += 1
            self.progress.notify_all()

    def wait_for(self, holds, patience):
        with self.progress:
            return self.progress.wait_for(holds, patience)

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        with connection:
            connection.settimeout(60)
            reader = connection.makefile("rb")
            try:
                while (request := read_head(reader)) is not None:
                    if not Exchange(self, connection, *request).answer():
                        return
            except (OSError, ValueError):
                pass
            finally:
                reader.close()


def read_head(reader):
    """Method, name and fields of a request; none at the end of the connection."""
    line = reader.readline(65536)
    if not line:
        return None
    method, target, _ = line.decode().split()
    fields = {}
    while (line := reader.readline(65536).strip()):
        name, _, value = line.decode().partition(":")
        fields[name.lower()] = value.strip()
    return method, target.partition("?")[0].lstrip("/"), fields


class Exchange:
    """One request, and the answer to it."""

    def __init__(self, origin, connection, method, name, fields):
        self.origin, self.connection, self.method, self.name, self.fields = origin, connection, method, name, fields

    def answer(self):
        """Answers; whether the connection can be used again."""
        with self.origin.lock:
            image = self.origin.images.get(self.name)
            self.origin.requests.append((self.method, self.name, self.fields.get("range")))
        if image is None:
            return self.plain(404, b"no such image\n")
        fault = self.origin.next_fault(self.name)
        return getattr(self, fault["kind"].replace(" ", "_").replace("-", "_"))(image, fault)

    def say(self, status, fields):
        lines = [f"HTTP/1.1 {status} {'OK' if status < 300 else 'Sorry'}", *(f"{name}: {value}" for name, value in fields.items())]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def plain(self, status, body, **fields):
        self.say(status, {"Content-Length": len(body), **{name.replace("_", "-"): value for name, value in fields.items()}})
        if self.method != "HEAD":
            self.connection.sendall(body)
        return True

    def send(self, data, start=0, end=None):
        """Sends these bytes piece by piece, at the origin's rate, and counts them."""
        view = memoryview(data)
        end = len(data) if end is None else end
        while start < end:
            piece = view[start : min(start + PIECE, end)]
            self.connection.sendall(piece)
            start += len(piece)
            self.origin.count(self.name, len(piece))
            if self.origin.rate:
                time.sleep(len(piece) / self.origin.rate)

    def asked(self, image):
        """The range that was asked for, if it is to be answered as one."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.fields.get("range", ""))
        if not match or self.fields.get("if-range", image.etag) != image.etag or int(match[1]) >= image.size:
            return None
        return int(match[1]), min(int(match[2]) + 1, image.size) if match[2] else image.size

    def head(self, image, **other):
        """Says what is right about the answer, but for `other`; from where to where the body then goes."""
        fields = {"ETag": image.etag, "Cache-Control": "max-age=3600", "Repr-Digest": image.digest_field, "Accept-Ranges": "bytes"}
        part = self.asked(image)
        start, end = part or (0, image.size)
        fields["Content-Length"] = end - start
        if part:
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{image.size}"
        fields.update({name.replace("_", "-"): value for name, value in other.items()})
        self.say(206 if part else 200, {name: value for name, value in fields.items() if value is not None})
        return start, end if self.method != "HEAD" else start

    def none(self, image, _):
        """What a good origin does."""
        if self.fields.get("if-none-match") == image.etag:
            self.say(304, {"ETag": image.etag, "Cache-Control": "max-age=3600"})
            return True
        start, end = self.head(image)
        self.send(image.bytes, start, end)
        if end == image.size:
            self.origin.ended(image)
        return True

    # The faults. `at` is a place in the image, as a share of it: whoever asks for what lies behind it gets nothing.

    def at(self, fault, start, end):
        return min(max(start, int(end * fault["at"])), end)

    def truncates(self, image, fault):
        start, end = self.head(image)
        self.send(image.bytes, start, self.at(fault, start, end))
        return False

    def breaks_once(self, image, fault):
        return self.truncates(image, fault)

    def resets(self, image, fault):
        start, end = self.head(image)
        self.send(image.bytes, start, self.at(fault, start, end))
        self.reset()
        return False

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def resets_at_once(self, *_):
        self.reset()
        return False

    def stalls(self, image, fault):
        start, end = self.head(image)
        self.send(image.bytes, start, self.at(fault, start, end))
        self.origin.go_on.wait(60)
        return False

    def never_answers(self, *_):
        self.origin.go_on.wait(60)
        return False

    def drips(self, image, fault):
        start, end = self.head(image)
        middle = self.at(fault, start, end)
        self.send(image.bytes, start, middle)
        while middle < end and not self.origin.go_on.wait(0.05):
            self.send(image.bytes, middle, middle + 1)
            middle += 1
        return False

    def wrong_bytes(self, image, fault):
        start, end = self.head(image)
        lie = bytearray(image.bytes)
        place = min(self.at(fault, start, end), end - 1)
        lie[place] ^= 0xFF
        self.send(lie, start, end)
        return True

    def too_long(self, image, fault):
        start, end = self.head(image)
        self.send(image.bytes + b"more" * 1000, start, end + 4000)
        return False

    def announces_more(self, image, fault):
        start, end = self.head(image, Content_Length=image.size + 1000)
        self.send(image.bytes, start, end)
        return False

    def announces_less(self, image, fault):
        less = image.size - 1000
        self.head(image, Content_Length=less)
        self.send(image.bytes, 0, less)
        return True

    def wrong_range(self, image, fault):
        """Breaks off, and then answers a range with another one."""
        part = self.asked(image)
        if part is None:
            return self.truncates(image, fault)
        start, end = part
        other = max(0, start - 5000)
        self.head(image, Content_Range=f"bytes {other}-{end - 1}/{image.size}", Content_Length=end - other)
        self.send(image.bytes, other, end)
        return True

    def lies_about_range(self, image, fault):
        """Breaks off, and then says the range that was asked for, with the bytes of another."""
        part = self.asked(image)
        if part is None:
            return self.truncates(image, fault)
        self.head(image)
        start, end = part
        self.send(image.bytes[:start][-1000:] + image.bytes, start, end)
        return True

    def ignores_range(self, image, fault):
        """Breaks off, and then answers the range with the whole."""
        if self.asked(image) is None:
            return self.truncates(image, fault)
        self.fields.pop("range")
        return self.none(image, fault)

    def endless(self, image, fault):
        self.say(200, {"ETag": image.etag, "Cache-Control": "max-age=3600", "Transfer-Encoding": "chunked"})
        data = image.bytes[:PIECE]
        while not self.origin.go_on.is_set():
            self.connection.sendall(b"%x\r\n" % len(data))
            self.send(data)
            self.connection.sendall(b"\r\n")
            time.sleep(0.005)
        return False

    def changes(self, image, fault):
        """Breaks off half-way, and has another version from then on."""
        start, end = self.head(image)
        self.send(image.bytes, start, self.at(fault, start, end))
        self.origin.put(type(image)(image.name, image.size, image.version + 1, image.holes))
        return False

    def redirects(self, image, fault):
        return self.plain(302, b"", Location=f"/{fault['to']}")

    def redirects_for_ever(self, image, fault):
        return self.plain(302, b"", Location=f"/{self.name}")

    def too_many_requests(self, image, fault):
        return self.plain(429, b"not now\n", Retry_After=fault["after"])

    def unavailable(self, image, fault):
        return self.plain(503, b"not now\n", Retry_After=fault["after"])

    def fails(self, image, fault):
        return self.plain(500, b"sorry\n")

    def says_garbage(self, image, fault):
        self.connection.sendall(b"HTTP/1.1 2\x00\xff" + image.bytes[:2000] + b"\r\n\r\n")
        return False
