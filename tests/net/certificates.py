"""Certificates by openssl(1), for servers and owners that have their own."""

import os
import subprocess
import tempfile


class Authority:
    """A root, and leaves below it. Files are gone with the object."""

    def __init__(self, name="Test Root"):
        self._directory = tempfile.TemporaryDirectory()
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "30",
                      "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign")
        self.root = self._read("root.pem")

    def _path(self, name):
        return os.path.join(self._directory.name, name)

    def _read(self, name):
        with open(self._path(name), encoding="ascii") as file:
            return file.read()

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._directory.name, check=True,
                       capture_output=True)

    def leaf(self, names):
        """(key, certificate) in PEM for names such as "DNS:a.example" or "IP:198.51.100.7"."""
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
        with open(self._path("extensions"), "w", encoding="ascii") as file:
            file.write(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\n")
        self._openssl("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key",
                      "-CAcreateserial", "-out", "leaf.pem", "-days", "30",
                      "-extfile", "extensions")
        return self._read("leaf.key"), self._read("leaf.pem")

    def serve(self, names):
        """A path of a file with key and certificate, for ssl.SSLContext.load_cert_chain()."""
        key, certificate = self.leaf(names)
        with open(self._path("both.pem"), "w", encoding="ascii") as file:
            file.write(key + certificate)
        return self._path("both.pem")

    def close(self):
        self._directory.cleanup()
