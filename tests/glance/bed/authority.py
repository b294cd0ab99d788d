"""Certificates for 127.0.0.1, as `openssl` makes them."""

import collections
import pathlib
import subprocess

Issued = collections.namedtuple("Issued", "cert key ca")


class Authority:
    """A certificate authority that keeps all it issues in `folder`."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self.cert = self._folder / "ca.pem"
        self._key = self._folder / "ca.key"
        usage = "keyUsage=critical,keyCertSign"
        self._openssl("req", "-x509", *_key(self._key), "-subj", "/CN=ca", "-addext", usage, "-out", self.cert)

    def issue(self, name):
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key", self.cert)
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", *_key(issued.key), "-subj", f"/CN={name}", "-out", request)
        signed = ("-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial")
        self._openssl("x509", *signed, "-extfile", extensions, "-out", issued.cert)
        return issued

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _key(path):
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path
