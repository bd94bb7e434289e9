"""Signed models: a signature over every file of a model and over its lineage, by a key of the lab's own, without a network.

The signature is a Sigstore bundle (DSSE, in-toto statement) of the package model-signing (extra `standards`), in
`data/signatures`: a DVC hash of a model must not change by being signed. The lineage is a field of the signed statement's
predicate, which other verifiers of model-signing pass over. Keys are ECDSA on NIST's curves, PEM.
"""

import base64
import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ocrrl.layout import DATA
from ocrrl.lineage.project import Project, UnknownPath
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.reading.revision import Revision
from ocrrl.lineage.wording import short

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

SIGNATURES = DATA / "signatures"
_LINEAGE = "lineage"
_CURVES = "an ECDSA key on P-256, P-384 or P-521 as PEM (`ocrrl sign --make-key cells/lab` makes one)"


class NotSigned(ValueError):
    """A model whose signature or signed lineage does not verify."""


@dataclass(frozen=True)
class SignedModel:
    """What a signature says that verifies."""

    model: str
    files: int
    lineage: dict[str, Any]
    """As `ocrrl lineage --format json`."""


def signature_file(model: str) -> Path:
    """Where the signature of `model` lies, both relative to the project."""
    path = PurePosixPath(model)
    below = path.relative_to(DATA) if path.is_relative_to(DATA) else path
    return SIGNATURES / below.with_name(f"{below.name}.sig")


def make_key(name: Path) -> tuple[Path, Path]:
    """A new pair, `<name>.pem` that its owner alone can read, and `<name>.pub`; FileExistsError where one is there."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private, public = name.with_name(f"{name.name}.pem"), name.with_name(f"{name.name}.pub")
    if there := [path for path in (private, public) if path.exists()]:
        raise ValueError(f"{there[0]} must not be there yet: a key is not written over; choose another name")
    key = ec.generate_private_key(ec.SECP256R1())
    private.parent.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def sign_model(root: Path, model: str, private_key: Path, lineage: Mapping[str, Any]) -> Path:
    """Sign the files of `model` and its `lineage` (JSON); the signature's file. ValueError for a key that is none."""
    from model_signing._signing.signing import Payload

    signer = _signer(private_key)
    payload = Payload(_manifest(root / model))
    # model-signing: "other properties can go here"; its own verifiers pass over them.
    payload.statement.pb.predicate.update({_LINEAGE: dict(lineage)})
    path = root / signature_file(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    signer.sign(payload).write(partial)
    partial.replace(path)
    return path


def verify_model(root: Path, model: str, public_key: Path) -> SignedModel:
    """What the signature of `model` says; every file is hashed.

    NotSigned (ValueError) in one line with the next step: for a model without signature, one with another key's, files that are not
    those that were signed, a lineage that is missing, of another model, or not the one that this project's dvc.lock tells.
    """
    if not (root / model).exists():
        raise NotSigned(f"{model} must be there to be verified, it is not; `dvc pull {model}` or `dvc repro` brings it")
    signature = root / signature_file(model)
    if not signature.is_file():
        raise NotSigned(
            f"{model} must be signed, got no {signature_file(model)}; who has the key signs it with "
            f"`ocrrl sign {model} --key KEY.pem`, or commits the signature"
        )
    resources = _verified(root / model, model, signature, public_key)
    lineage = _statement(signature)["predicate"].get(_LINEAGE)
    _require_lineage(root, model, lineage)
    return SignedModel(model, resources, lineage)


def _verified(folder: Path, model: str, signature: Path, public_key: Path) -> int:
    """How many files the signature holds; NotSigned unless `public_key` made it and the files are those."""
    from cryptography.exceptions import InvalidSignature
    from model_signing.verifying import Config

    if not public_key.is_file():
        raise NotSigned(f"{public_key} must be the public key that {model} is signed with, it is not there")
    again = f"sign it again with `ocrrl sign {model} --key KEY.pem`"
    try:
        verifier = Config().use_elliptic_key_verifier(public_key=public_key)
    except (ValueError, TypeError, AttributeError) as error:
        raise NotSigned(f"{public_key} must be the public part of {_CURVES}, got {_first_line(error)}") from error
    try:
        statement = _statement(signature)
        verifier.verify(folder, signature)
    except InvalidSignature as error:
        raise NotSigned(
            f"{signature_file(model)} must be as it was signed, its bytes are not: bring the committed one back with git, or {again}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        if "Key mismatch" in str(error):
            raise NotSigned(
                f"{model} must be signed with the key of {public_key}, got another key's signature: give the public key of who "
                f"signed it, or {again}"
            ) from error
        if "Signature mismatch" in str(error):
            raise NotSigned(
                f"{model} must be what was signed, {_changed(folder, statement)}; `dvc checkout {model}` brings back what dvc.lock "
                f"names, and for a model that was meant to change, {again}"
            ) from error
        raise NotSigned(
            f"{signature_file(model)} must be a signature of model-signing, got {_first_line(error)}; {again}"
        ) from error
    return len(statement["predicate"]["resources"])


def _require_lineage(root: Path, model: str, lineage: Any) -> None:
    again = f"sign it again with `ocrrl sign {model} --key KEY.pem`"
    if not isinstance(lineage, dict):
        raise NotSigned(f"{model} must be signed with its lineage, got a signature without; {again}")
    found = path_hash(root / model, root, Ignored.of_project(root))
    if (lineage["path"], lineage["hash"]) != (model, found):
        signed = f"{lineage['path']} {short(lineage['hash'])}"
        raise NotSigned(
            f"{model} must have the lineage of {model} {short(found)} in its signature, got that of {signed}; {again}"
        )
    signed_hashes: dict[str, set[str]] = {}
    for artifact in lineage["artifacts"]:
        signed_hashes.setdefault(artifact["path"], set()).add(artifact["hash"])
    try:
        tree = Project(Revision(root)).tree(model)
    except UnknownPath:  # a robot's machine that was given models alone
        return
    for artifact in tree.artifacts.values():
        signed = signed_hashes.get(artifact.path)
        if signed is None or artifact.hash not in signed:
            got = "nothing" if signed is None else " or ".join(sorted(map(short, signed)))
            raise NotSigned(
                f"{model} must come from what its signature says, dvc.lock has {artifact.path} {short(artifact.hash)}, the signature "
                f"{got}; `ocrrl lineage {model}` shows dvc.lock's, and if that is right, {again}"
            )


def _statement(signature: Path) -> dict[str, Any]:
    """The in-toto statement in a bundle; ValueError or KeyError for a file that is none."""
    bundle = json.loads(signature.read_bytes())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def _changed(folder: Path, statement: Mapping[str, Any]) -> str:
    """The files that are not as in `statement`."""
    signed = {row["name"]: row["digest"] for row in statement["predicate"]["resources"]}
    found = {row.identifier: row.digest.digest_hex for row in _manifest(folder).resource_descriptors()}
    changed = sorted(name for name in {*signed, *found} if signed.get(name) != found.get(name))
    verbs = [
        f"{name} {'is missing' if name not in found else 'was added' if name not in signed else 'has other bytes'}"
        for name in changed
    ]
    return ", ".join(verbs[:3]) + (f" and {len(verbs) - 3} more" if len(verbs) > 3 else "")


def _manifest(model: Path) -> "Manifest":
    from model_signing.hashing import Config

    return Config().set_allow_symlinks(True).hash(model)  # DVC's files may be links into its cache


def _signer(private_key: Path) -> Any:
    from model_signing._signing.sign_ec_key import Signer

    if not private_key.is_file():
        raise ValueError(f"--key must be a private key, got {private_key}, which is not there; it must be {_CURVES}")
    try:
        try:
            return Signer(private_key)
        except TypeError:  # it has a password
            return Signer(private_key, getpass.getpass(f"Password of {private_key}: ").encode())  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError, AttributeError, EOFError) as error:
        raise ValueError(f"{private_key} must be {_CURVES}, got {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:200].rstrip(": ")
