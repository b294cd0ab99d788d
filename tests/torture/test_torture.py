"""The campaign itself: that a seed is a campaign, that its disk loses what it may lose and nothing else, and that it finds
what is wrong. A judge who has never found anything proves nothing."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import directory
from campaign import CYCLE, Round
from content import Image
from disk import BLOCK, Blocks
from origin import Origin
from reader import get
from tally import Tally

HERE = pathlib.Path(__file__).resolve().parent


def quiet():
    """A tally that says nothing."""
    tally = Tally()
    tally.wrong = tally.wrongs.append
    return tally


class Plan(unittest.TestCase):
    def printed(self, seed, hash_seed):
        command = [sys.executable, "-B", "run.py", "--plan", str(2 * len(CYCLE)), "--seed", str(seed)]
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, check=True).stdout

    def test_the_same_seed_is_the_same_campaign(self):
        self.assertEqual(self.printed(5, 1), self.printed(5, 2))
        self.assertNotEqual(self.printed(5, 1), self.printed(6, 1))

    def test_every_kind_of_round_is_in_every_cycle(self):
        for cycle in range(3):
            rounds = [Round(7, cycle * len(CYCLE) + place).kind for place in range(len(CYCLE))]
            self.assertEqual(sorted(rounds), sorted(kind for kind, _, _ in CYCLE))


class Disk(unittest.TestCase):
    def setUp(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.truncate(64 * BLOCK)
        self.disk = Blocks(self.file.name)

    def write(self, letter, first, number=1):
        self.disk.write(first * BLOCK, letter * BLOCK * number)

    def letters(self):
        return {self.disk.read(number * BLOCK, 1) for number in range(64)}

    def test_what_was_flushed_survives_and_what_was_not_may_not(self):
        self.write(b"a", 0, 64)
        self.disk.flush()
        self.write(b"b", 0, 32)
        self.disk.cut(1, 0.0)
        self.write(b"c", 0, 64)
        self.disk.flush()
        self.assertEqual(self.letters(), {b"c"})
        self.disk.power()
        self.assertEqual(self.letters(), {b"a"})

    def test_a_block_has_any_content_that_it_had_since_the_last_flush(self):
        for letter in (b"a", b"b", b"c"):
            self.write(letter, 0, 64)
        self.disk.cut(1, 0.9)
        self.disk.power()
        self.assertEqual(self.letters(), {b"\0", b"a", b"b", b"c"})

    def test_the_power_goes_in_the_middle_of_a_write(self):
        self.disk.arm(10, 1, 1.0)
        self.write(b"a", 0, 64)
        self.disk.power()
        self.assertEqual([self.disk.read(number * BLOCK, 1) for number in (9, 10)], [b"a", b"\0"])

    def test_parts_of_blocks(self):
        self.disk.write(BLOCK - 100, b"a" * 200)
        self.assertEqual(self.disk.read(BLOCK - 101, 202), b"\0" + b"a" * 200 + b"\0")
        self.disk.flush()
        self.assertEqual(self.disk.read(BLOCK - 101, 202), b"\0" + b"a" * 200 + b"\0")


class Judge(unittest.TestCase):
    """The faulty origin takes the place of the daemon."""

    def setUp(self):
        self.tally = quiet()
        self.origin = Origin(self.tally)
        self.addCleanup(self.origin.close)
        self.origin.put(Image("image", 300_000))
        self.address = "127.0.0.1", self.origin.port

    def ask(self, fault=None, **how):
        self.origin.plant("image", [fault] if fault else [])
        return get(self, self.origin, "image", self.tally, **how)

    def test_a_right_answer_is_right(self):
        self.assertTrue(self.ask().complete)
        self.assertTrue(self.ask(part=(1000, 299_999)).complete)
        self.assertTrue(self.ask(part=(1000, 2000)).complete)
        self.assertTrue(self.ask(method="HEAD").complete)
        self.assertEqual(self.tally.wrongs, [])

    def test_a_wrong_byte_in_a_complete_answer_is_found(self):
        self.ask({"kind": "wrong bytes", "at": 0.7, "for ever": True}, lying=True)
        self.assertIn("a complete answer that is wrong from 210000 on", self.tally.wrongs[0])

    def test_a_complete_answer_that_is_too_short_is_found(self):
        self.ask({"kind": "announces less"}, lying=True)
        self.assertIn("a complete answer that is wrong from 299000 on", self.tally.wrongs[0])

    def test_an_answer_that_breaks_off_is_not_wrong(self):
        for kind in ("truncates", "resets"):
            self.assertEqual(self.ask({"kind": kind, "at": 0.5}).end, "broken")
        self.assertEqual(self.ask({"kind": "fails"}).end, "refused")
        self.assertEqual(self.tally.wrongs, [])

    def test_a_version_is_one_whole(self):
        self.ask({"kind": "changes", "at": 0.0})
        self.assertTrue(self.ask().complete)
        self.assertEqual(self.tally.wrongs, [])


class Looks(unittest.TestCase):
    def setUp(self):
        self.tally = quiet()
        self.origin = Origin(self.tally)
        self.addCleanup(self.origin.close)
        self.origin.put(Image("image", 300_000))
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "image"
        self.put(self.origin.images["image"].bytes)

    def put(self, content, owner=b"image"):
        self.path.write_bytes(content)
        os.setxattr(self.path, "user.icewell.id", owner)

    def look(self):
        return directory.check_images(self.folder.name, self.origin, self.tally, "here")

    def test_what_is_right_is_right(self):
        self.assertEqual(self.look(), {"image"})
        self.assertEqual(self.tally.wrongs, [])

    def test_what_is_wrong_is_found(self):
        content = self.origin.images["image"].bytes
        for damaged in (content[:-1], content + b"x", content[:1000] + b"!" + content[1001:], b""):
            self.put(damaged)
            self.look()
        self.put(content, b"another")
        self.look()
        self.assertEqual(len(self.tally.wrongs), 5, self.tally.wrongs)

    def test_more_than_the_limit_is_found(self):
        watch = directory.Watch(self.folder.name, 299_999, self.tally)
        watch.thread.join(60)
        watch.stop()
        self.assertIn("300000 bytes under DIR, of 299999 allowed", self.tally.wrongs[0])


if __name__ == "__main__":
    unittest.main()
