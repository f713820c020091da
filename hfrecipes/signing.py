"""Signing: who vouches for a release. The signature is of `checklist.json`, which binds weights, bundles and evidence by sha256.

It has the form of the OpenSSF's model signing (https://github.com/sigstore/model-transparency), by an elliptic-curve key in PEM.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hfrecipes.errors import DependencyError, ModelError, UserError

MADE = "Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout -out key.pub"


def sign(file: Path, private_key: Path) -> Path:
    """Sign a file; the signature is written beside it. Raises UserError where the key is none."""
    _installed()
    from model_signing import signing

    signature = file.with_name(f"{file.name}.sig")
    try:
        signing.Config().use_elliptic_key_signer(private_key=private_key).sign(file, signature)
    except (OSError, ValueError, TypeError) as error:
        raise UserError("--sign", f"cannot sign with {private_key}: {error}", MADE) from error
    return signature


def check_signature(file: Path, public_key: Path) -> None:
    """Raises ModelError where a file is not signed with the private key that belongs to a public one."""
    _installed()
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    signature = file.with_name(f"{file.name}.sig")
    if not signature.is_file():
        raise ModelError(str(file.parent), f"{file.name} is not signed", "Ship it with --sign KEY")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=public_key).verify(file, signature)
    except (OSError, ValueError, TypeError, InvalidSignature) as error:
        first = next(iter(str(error).splitlines()), "") or "the key is another"
        raise ModelError(str(file.parent), f"{file.name} is not what was signed with that key: {first:.80}", "") from error


def _installed() -> None:
    if importlib.util.find_spec("model_signing") is None or importlib.util.find_spec("OpenSSL") is None:
        raise DependencyError("signing", "model-signing is not installed", "Run: pip install 'hfrecipes[sign]'")
