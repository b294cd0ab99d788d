"""The examples of a document that are for a machine of their own: blocks that begin with ```` ```console debian ````, written
as crates/icewell-cli/tests/docs.rs says, which passes them over."""

import re


def steps(text):
    """Of each command: the line it is in, itself, and what it should print."""
    for block in re.finditer(r"^```console debian\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, block.start(1))
        for step in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
            yield line + block[1].count("\n", 0, step.start()) + 1, step[1], step[2].splitlines()


def pattern(expected):
    """`[..]` is any text in a line, a line `...` any number of lines."""
    lines = ("(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("[..]"))) + "\n" for line in expected)
    return re.compile("".join(lines))


def wrong(text, run):
    """What commands print other than the document says; `run` gives what one has printed on both streams, and its exit status."""
    for line, command, expected in steps(text):
        status = 0
        if expected and expected[-1].startswith("? "):
            status = int(expected.pop()[2:])
        printed, actual = run(command)
        printed = "".join(line.rstrip() + "\n" for line in printed.splitlines())
        if actual != status or not pattern(expected).fullmatch(printed):
            yield f"line {line}: $ {command}\n--- printed, exit status {actual}\n{printed}"
