"""How `--glance-conf` and the tools read a configuration, beside oslo.config itself."""

import json
import os
import pathlib
import subprocess

import pytest
from oslo_config import cfg

ROOT = pathlib.Path(__file__).parents[2]
ICEWELL = os.environ.get("ICEWELL_BIN", ROOT / "target/debug/icewell")

# Not compared: a reference to an option that the files do not set. oslo.config puts its default, or nothing; Icewell,
# which does not know all options of Glance, refuses.
#
# Each is one file, read alone. What stands in it after "[DEFAULT]" decides on image_cache_dir.
DIRS = [
    "image_cache_dir = plain",
    "image_cache_dir: colon",
    "image_cache_dir=a=b:c",
    "image_cache_dir:a:b=c",
    "image_cache_dir   =   blanks around  ",
    "image_cache_dir = \"double quotes\"",
    "image_cache_dir = 'single quotes'",
    "image_cache_dir = \"mixed'",
    "image_cache_dir = ''twice''",
    "image_cache_dir = \" blanks inside \"",
    "image_cache_dir = x # no comment",
    "image_cache_dir = x ; no comment",
    "image_cache_dir = first\nimage_cache_dir = last",
    "image_cache_dir = first\n[other]\nimage_cache_dir = other\n[DEFAULT]\nimage_cache_dir = again",
    "image_cache_dir = first\n[default]\nimage_cache_dir = another section",
    "image_cache_dir = one\n  two\n\tthree",
    "image_cache_dir = one\n  # two",
    "image_cache_dir =\n  below",
    "image_cache_dir = one\n\n  two",
    "image_cache_dir = one\n# comment\n  two",
    "image_cache_dir = one\n[other]\n  two",
    "  image_cache_dir = indented",
    "\timage_cache_dir = indented",
    "image_cache_dir = x\r\nbase = y\r",
    "Image_Cache_Dir = capitals\nimage_cache_dir = small",
    "image_cache_dir = ü/é",
    "image_cache_dir",
    "= no key",
    "[unclosed\nimage_cache_dir = x",
    "[]\nimage_cache_dir = x",
    "[other] # comment\nimage_cache_dir = x",
    "; comment\n#comment\n\nimage_cache_dir = x",
    "base = b\nimage_cache_dir = $base/x",
    "base = b\nimage_cache_dir = ${base}x",
    "base = b\nimage_cache_dir = $basex",
    "base = b\nimage_cache_dir = $base-x",
    "image_cache_dir = $base/x\nbase = b",
    "base = a\nimage_cache_dir = $base/x\nbase = b",
    "base = $deep\ndeep = d\nimage_cache_dir = $base",
    "base = $deep\ndeep = $$d\nimage_cache_dir = $base",
    "image_cache_dir = a$$b",
    "image_cache_dir = a\\$b",
    "image_cache_dir = a\\\\$b",
    "base=b\nimage_cache_dir = a\\$base$base",
    "image_cache_dir = a$1b$",
    "image_cache_dir = a${b",
    "image_cache_dir = a${}b",
    "image_cache_dir = a${b-c}d",
    "image_cache_dir = $nowhere/x",
    "image_cache_dir = $Base/x\nbase = b",
    "[group]\nname = n\n[DEFAULT]\nimage_cache_dir = ${group.name}/x",
    "[group]\nname = n\n[DEFAULT]\nimage_cache_dir = $group.name",
    "[Group]\nname = n\n[DEFAULT]\nimage_cache_dir = ${group.name}/x",
    "[group]\nname = $base\nbase = inner\n[DEFAULT]\nbase = outer\nimage_cache_dir = ${group.name}/x",
    "[group]\nname = $deep\n[DEFAULT]\ndeep = outer\nimage_cache_dir = ${group.name}/x",
    "base =\nimage_cache_dir = x${base}y",
]
NUMBERS = [
    *("0", "1", "10737418240", "+5", "007", "1_000", "1__0", "_1", "1_", "-1", "1.5", "1e3", "0x10", "10GiB", "much"),
    *('"12"', "' 12 '", "1 2", "$size", "${size}0", "", "99999999999999999"),
]


def theirs(file, environ):
    """image_cache_dir and image_cache_max_size, or None where oslo.config gives up."""
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("image_cache_dir"), cfg.IntOpt("image_cache_max_size", min=0)])
    conf.register_opts([cfg.StrOpt(name) for name in ("base", "deep", "size")])
    conf.register_opts([cfg.StrOpt(name) for name in ("name", "base")], group="group")
    kept = dict(os.environ)
    os.environ.update(environ)
    try:
        conf([], project="nobody", prog="nobody", default_config_files=[str(path) for path in file])
        return conf.image_cache_dir or None, conf.image_cache_max_size
    except (cfg.Error, ValueError, RecursionError) as why:
        return f"refused: {type(why).__name__}"
    finally:
        os.environ.clear()
        os.environ.update(kept)


def ours(files, environ, folder):
    named = [argument for file in files for argument in ("--glance-conf", file)]
    base = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    def run(*arguments):
        command = [ICEWELL, *arguments, "--json", *named]
        return subprocess.run(command, env=base | environ, cwd=folder, capture_output=True, text=True)

    status = run("status")
    if status.returncode:
        assert status.returncode == 2, status
        no_dir = "sets no image_cache_dir" in status.stderr
        return (None, None) if no_dir else "refused"
    limit = json.loads(run("prune", "-n").stdout)["max_size"]
    # Nothing set is the limit in force.
    return json.loads(status.stdout)["dir"], None if limit == 10 << 30 else limit


def compare(folder, texts, environ=None):
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.conf")
        files[-1].write_bytes(text.encode())
    real = theirs(files, environ or {})
    mine = ours(files, environ or {}, folder)
    if isinstance(real, str):
        assert mine == "refused", (texts, real)
        return
    assert mine == (real[0], None if real[1] == 10 << 30 else real[1]), texts


@pytest.mark.parametrize("text", DIRS)
def test_text(tmp_path, text):
    compare(tmp_path, [f"[DEFAULT]\n{text}\n"])


def test_what_stands_before_a_section(tmp_path):
    compare(tmp_path, ["image_cache_dir = x\n[DEFAULT]\n"])
    compare(tmp_path, ["\n# comment\n[DEFAULT]\nimage_cache_dir = x"])


@pytest.mark.parametrize("number", NUMBERS)
def test_number(tmp_path, number):
    compare(tmp_path, [f"[DEFAULT]\nsize = 70\nimage_cache_dir = x\nimage_cache_max_size = {number}\n"])


@pytest.mark.parametrize(
    "texts",
    [
        ("image_cache_dir = a\nimage_cache_max_size = 1", "image_cache_dir = b"),
        ("image_cache_dir = a", "image_cache_dir ="),
        ("base = a\nimage_cache_dir = $base", "base = b"),
        ("image_cache_dir = $base", "base = b"),
        ("image_cache_dir = a", "nonsense"),
        ("image_cache_dir = a", "", "image_cache_max_size = 7"),
    ],
)
def test_files(tmp_path, texts):
    compare(tmp_path, [f"[DEFAULT]\n{text}\n" for text in texts])


@pytest.mark.parametrize(
    "name, value",
    [("IMAGE_CACHE_DIR", "from-environment"), ("BASE", "b"), ("IMAGE_CACHE_DIR", "$base/y"), ("IMAGE_CACHE_DIR", "")],
)
def test_environment(tmp_path, name, value):
    text = "[DEFAULT]\nbase = a\nimage_cache_dir = x/$base\n"
    compare(tmp_path, [text], {f"OS_DEFAULT__{name}": value})
