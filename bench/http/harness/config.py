"""Configuration files, from the templates in `config/`: `@NAME@` stands for a value."""

import os
import pathlib
import pwd
import re

TEMPLATES = pathlib.Path(__file__).parents[1] / "config"


def write(template, folder, **values):
    """Fills the template in and writes it into the folder. Returns its path."""
    text = (TEMPLATES / template).read_text()
    text = re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1]]), text)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / pathlib.Path(template).name
    path.write_text(text)
    return path


def user():
    """Whose name the servers are to keep: ours."""
    return pwd.getpwuid(os.getuid()).pw_name
