"""Signing: a checklist that is vouched for, and one that is not."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from hfrecipes.errors import DependencyError, ModelError, UserError
from hfrecipes.folder import read_json, write_json
from hfrecipes.signing import check_signature, sign
from hfrecipes.verification import verify

NEEDED = importlib.util.find_spec("model_signing") is None or importlib.util.find_spec("OpenSSL") is None
signs = pytest.mark.skipif(NEEDED, reason="model-signing is not installed: pip install 'hfrecipes[sign]'")


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pair = folder / f"{name}.pem", folder / f"{name}.pub"
    pair[0].write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    pair[1].write_bytes(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    return pair


@signs
def test_what_was_signed_is_accepted_with_its_key_alone(shown: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shown, tmp_path / "run"))
    private, public = keys(tmp_path, "ours")
    with pytest.raises(ModelError, match=r"checklist\.json is not signed\. Ship it with --sign KEY"):
        verify(run, public)
    assert sign(run / "checklist.json", private).name == "checklist.json.sig"
    assert verify(run, public)["passed"]
    with pytest.raises(ModelError, match=r"checklist\.json is not what was signed with that key"):
        verify(run, keys(tmp_path, "theirs")[1])


@signs
def test_a_checklist_that_was_changed_after_it_was_signed_is_refused(shown: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shown, tmp_path / "run"))
    private, public = keys(tmp_path, "ours")
    sign(run / "checklist.json", private)
    write_json(run / "checklist.json", {**read_json(run / "checklist.json"), "format": 2})
    with pytest.raises(ModelError, match="is not what was signed with that key: Signature mismatch"):
        check_signature(run / "checklist.json", public)


@signs
def test_a_file_that_is_no_key_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "checklist.json").write_text("{}")
    (tmp_path / "key.pem").write_text("none")
    with pytest.raises(UserError, match=r"--sign: cannot sign with .*key\.pem.*Make one: openssl"):
        sign(tmp_path / "checklist.json", tmp_path / "key.pem")


def test_without_the_package_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for work in (sign, check_signature):
        with pytest.raises(
            DependencyError, match=r"signing: model-signing is not installed\. Run: pip install 'hfrecipes\[sign\]'"
        ):
            work(tmp_path / "a", tmp_path / "b")
