"""A disk with a volatile cache, whose power can be cut: a file in a FUSE file system of this process, for a loop device.

What is written is only promised to be there after a cut once a flush has been asked for and answered, as with a real
disk. Until then each block of 4096 bytes may have any content that it has had since the last flush: which, `cut` draws.
A disk that writes torn blocks, or that lies about its flushes, is not played.

Run as a process of its own, `disk.py IMAGE MOUNTPOINT`, so that nothing that waits for this disk can be what it waits
for. It reads orders from standard input, a line each, and answers each with a line:

    cut BLOCKS SEED SHARE   the power goes when so many more blocks have been written; of those that are not flushed
                     then, about SHARE have reached the disk. For its users the disk goes on as if nothing had happened
    state            `on`, or `off` with the time (CLOCK_MONOTONIC), how many blocks were not flushed and how many survived
    power            forget all that was written since the cut, and be the disk after it
    fail KIND        from now on `reads` or `writes` end with an error, or `none`
    flip OFFSET      turn over one bit of what is stored
"""

import ctypes
import errno
import os
import random
import select
import struct
import sys
import time

BLOCK = 4096
NAME = b"disk"
ROOT, FILE = 1, 2
LARGEST_WRITE = 1 << 20

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20
FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 36, 38, 42
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
DIRECT_IO = 1


class Blocks:
    """What the disk holds: a file with what is safe, and what has not been flushed, block by block."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.unflushed = {}  # block number: each content since the last flush, the latest at the end
        self.armed = None  # blocks until the cut, seed, share
        self.survivors, self.state = None, "on"

    def block(self, number):
        versions = self.unflushed.get(number)
        return versions[-1] if versions else os.pread(self.file, BLOCK, number * BLOCK)

    def read(self, offset, length):
        length = max(0, min(length, self.size - offset))
        first, last = offset // BLOCK, (offset + length + BLOCK - 1) // BLOCK
        if not any(number in self.unflushed for number in range(first, last)):
            return os.pread(self.file, length, offset)
        whole = b"".join(self.block(number) for number in range(first, last))
        return whole[offset - first * BLOCK :][:length]

    def write(self, offset, data):
        end = offset + len(data)
        for number in range(offset // BLOCK, (end + BLOCK - 1) // BLOCK):
            start = number * BLOCK
            if start >= offset and start + BLOCK <= end:
                new = bytes(data[start - offset : start - offset + BLOCK])
            else:
                new = bytearray(self.block(number))
                low, high = max(start, offset), min(start + BLOCK, end)
                new[low - start : high - start] = data[low - offset : high - offset]
                new = bytes(new)
            self.unflushed.setdefault(number, []).append(new)
            if self.armed:
                blocks, *how = self.armed
                self.armed = (blocks - 1, *how)
                if blocks <= 1:
                    self.cut(*how)

    def flush(self):
        # After a cut nothing becomes safe any more: the file stays as it was at that moment.
        if self.survivors is None:
            for number, versions in self.unflushed.items():
                os.pwrite(self.file, versions[-1], number * BLOCK)
            self.unflushed = {}

    def arm(self, blocks, seed, share):
        self.armed = blocks, seed, share
        if blocks == 0:
            self.cut(seed, share)

    def cut(self, seed, share):
        self.armed = None
        draw = random.Random(seed)
        self.survivors = {}
        for number, versions in self.unflushed.items():
            if draw.random() < share:
                self.survivors[number] = versions[int(draw.random() * len(versions))]
        self.state = f"off {time.monotonic()} {len(self.unflushed)} {len(self.survivors)}"

    def power(self):
        self.unflushed = {number: [data] for number, data in self.survivors.items()}
        self.survivors, self.state = None, "on"
        self.flush()

    def flip(self, offset):
        byte = self.read(offset, 1)
        os.pwrite(self.file, bytes([byte[0] ^ 1]), offset)


class Server:
    """Answers the kernel's requests (linux/fuse.h) for one folder with one file in it."""

    def __init__(self, blocks, mountpoint):
        self.blocks, self.failing = blocks, "none"
        self.fuse = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0,max_read={LARGEST_WRITE}"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"icewell-disk", mountpoint.encode(), b"fuse.icewell-disk", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "cannot mount", mountpoint)

    def serve(self):
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([self.fuse, 0], [], [])
            if self.fuse in ready and not self.request():
                return
            if 0 in ready:
                # Unbuffered, so that select tells of each line.
                line = os.read(0, 4096).decode()
                if not line:
                    return
                print(self.order(*line.split()), flush=True)

    def order(self, verb, *words):
        if verb == "cut":
            self.blocks.arm(int(words[0]), words[1], float(words[2]))
        elif verb == "state":
            return self.blocks.state
        elif verb == "fail":
            self.failing = words[0]
        elif verb == "flip":
            self.blocks.flip(int(words[0]))
        elif verb == "power":
            self.blocks.power()
        return "done"

    def request(self):
        try:
            message = os.read(self.fuse, LARGEST_WRITE + BLOCK)
        except OSError as error:
            # ENOENT: the request was taken back. ENODEV: unmounted.
            return error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN)
        _, opcode, unique, node, *_ = HEAD.unpack_from(message)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return True
        status, body = self.answer(opcode, node, memoryview(message)[HEAD.size :])
        os.write(self.fuse, struct.pack("<IiQ", 16 + len(body), -status, unique) + body)
        return opcode != DESTROY

    def answer(self, opcode, node, body):
        if opcode == INIT:
            major, minor, ahead, flags = struct.unpack_from("<IIII", body)
            offered = flags & (BIG_WRITES | MAX_PAGES)
            return 0, struct.pack("<IIIIHHIIHH32x", 7, 31, ahead, offered, 8, 6, LARGEST_WRITE, 1, LARGEST_WRITE // BLOCK, 0)[:64]
        if opcode == LOOKUP:
            if bytes(body[:-1]) != NAME:
                return errno.ENOENT, b""
            return 0, struct.pack("<QQQQII", FILE, 0, 3600, 3600, 0, 0) + self.attributes(FILE)
        if opcode in (GETATTR, SETATTR):
            return 0, struct.pack("<QII", 3600, 0, 0) + self.attributes(node)
        if opcode == OPEN:
            return 0, struct.pack("<QII", 1, DIRECT_IO, 0)
        if opcode == READ:
            if self.failing == "reads":
                return errno.EIO, b""
            _, offset, size = struct.unpack_from("<QQI", body)
            return 0, self.blocks.read(offset, size)
        if opcode == WRITE:
            if self.failing == "writes":
                return errno.EIO, b""
            _, offset, size = struct.unpack_from("<QQI", body)
            self.blocks.write(offset, body[40 : 40 + size])
            return 0, struct.pack("<II", size, 0)
        if opcode == FSYNC:
            if self.failing == "writes":
                return errno.EIO, b""
            self.blocks.flush()
            return 0, b""
        if opcode == STATFS:
            return 0, struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, BLOCK, 255, BLOCK, 0)
        if opcode in (RELEASE, FLUSH, DESTROY):
            return 0, b""
        return errno.ENOSYS, b""

    def attributes(self, node):
        size, mode, links = (self.blocks.size, 0o100600, 1) if node == FILE else (0, 0o40700, 2)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, BLOCK, 0)


HEAD = struct.Struct("<IIQQIIIHH")

if __name__ == "__main__":
    Server(Blocks(sys.argv[1]), sys.argv[2]).serve()
