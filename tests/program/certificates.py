"""Certificates for stories, made by openssl."""

import subprocess

SIGNED = {"server": "subjectAltName=IP:127.0.0.1,DNS:localhost", "client": "extendedKeyUsage=clientAuth"}


def run(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """One that signs what belongs to 127.0.0.1."""

    def __init__(self, directory, name):
        self.directory = directory
        self.certificate, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        request = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        run(*request, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def sign(self, name, use="server"):
        """A certificate and its key."""
        certificate, key, request = (self.directory / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extensions = self.directory / f"{name}.extensions"
        extensions.write_text(SIGNED[use])
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        run(*new, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        by = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial")
        run("x509", "-req", "-in", request, *by, "-days", "2", "-extfile", extensions, "-out", certificate)
        return certificate, key
