"""Nkeys for stories: keys of ed25519, made by openssl, as NATS writes them."""

import base64
import binascii
import subprocess

USER = 20 << 3
SEED = 18 << 3


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


def encoded(data):
    """In base32, with a checksum behind it."""
    checksum = binascii.crc_hqx(data, 0).to_bytes(2, "little")
    return base64.b32encode(data + checksum).decode().rstrip("=")


def nkey():
    """A user's public key, and its seed."""
    private = openssl("genpkey", "-algorithm", "ed25519", "-outform", "DER")
    public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", given=private)
    # In either form the key itself stands at the end.
    seed = encoded(bytes([SEED | USER >> 5, (USER & 31) << 3]) + private[-32:])
    return encoded(bytes([USER]) + public[-32:]), seed
