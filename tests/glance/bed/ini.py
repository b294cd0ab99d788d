"""Configuration files as oslo.config reads them."""


def write(path, sections):
    """{"section": {"option": value}} into a file; None leaves an option out, a bool is written as oslo wants it."""
    with open(path, "w", encoding="utf-8") as file:
        for section, options in sections.items():
            print(f"[{section}]", file=file)
            for option, value in options.items():
                if value is not None:
                    print(f"{option} = {str(value).lower() if isinstance(value, bool) else value}", file=file)


def merged(base, more):
    """`base` with the options of `more` laid over it."""
    return {section: base.get(section, {}) | more.get(section, {}) for section in base | more}


def sqlite(path):
    """The options of a database that need not survive the machine: nothing waits for the disk."""
    return {"connection": f"sqlite:///{path}", "sqlite_synchronous": False}
