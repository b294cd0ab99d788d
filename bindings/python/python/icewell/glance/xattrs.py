"""Extended attributes by path, with the names and the manners of the functions in Glance's own driver module.

The driver does not use them; they are for whoever imports them from where Glance has them. They need no ``python-xattr``.
"""

import os

from oslo_utils import fileutils


def get_all_regular_files(basepath):
    """The paths of the regular files in a folder, one after the other."""
    for name in os.listdir(basepath):
        path = os.path.join(basepath, name)
        if os.path.isfile(path):
            yield path


def delete_cached_file(path):
    """Removes a file; that it is gone already is no error."""
    fileutils.delete_if_exists(path)


def _make_namespaced_xattr_key(key, namespace="user"):
    return f"{namespace}.{key}"


def get_xattr(path, key, **kwargs):
    """The value of the attribute ``user.KEY`` in bytes; ``default=`` where it cannot be read, or else OSError."""
    try:
        return os.getxattr(path, _make_namespaced_xattr_key(key))
    except OSError:
        if "default" in kwargs:
            return kwargs["default"]
        raise


def set_xattr(path, key, value):
    """Sets the attribute ``user.KEY`` to bytes, or to anything else as text."""
    if not isinstance(value, bytes):
        value = str(value).encode("utf-8")
    os.setxattr(path, _make_namespaced_xattr_key(key), value)


def inc_xattr(path, key, n=1):
    """Adds to an attribute that is a number. As in Glance, two who do so at once may lose a count: the driver counts
    hits by other means."""
    set_xattr(path, key, int(get_xattr(path, key)) + n)
