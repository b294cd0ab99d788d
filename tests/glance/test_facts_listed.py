"""FACTS.md names each measurement, and nothing that is not measured."""

import pathlib
import re

HERE = pathlib.Path(__file__).parent


def test_facts_and_their_tests_agree():
    measured = {
        name
        for file in HERE.glob("test_facts_*.py")
        if file.name != pathlib.Path(__file__).name
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    listed = re.findall(r"`(test_\w+)`", (HERE / "FACTS.md").read_text())
    assert sorted(listed) == sorted(measured)
