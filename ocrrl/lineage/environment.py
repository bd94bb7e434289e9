"""The Python packages that are installed: a hash in every run record, and a CycloneDX list of them beside it.

`data/environments/<hash>.cdx.json` is a software bill of materials (CycloneDX 1.6), one file an environment; the same environment
gives the same bytes. Package: cyclonedx-python-lib (extra `standards`).
"""

# py-serializable's decorators hide the signatures of CycloneDX's classes.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from ocrrl import files
from ocrrl.extras import how_to_install
from ocrrl.layout import DATA
from ocrrl.printable import printable

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

    from cyclonedx.model.component import Component

SBOM = "OCRRL_SBOM"
"""Environment variable: at 1, every run of a stage writes its environment's list."""
FOLDER = DATA / "environments"
_ENDINGS = (".dist-info", ".egg-info")
_DIGITS = 16
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def environment_hash() -> str:
    """Sixteen hex digits over Python's version, the platform, and name and version of every installed package."""
    return hashlib.sha256("\n".join((_python(), *_metadata_folders())).encode()).hexdigest()[:_DIGITS]


def keep_environment(root: Path) -> Path | None:
    """`write_environment`; None, and the reason on stderr, where it cannot be written."""
    try:
        return write_environment(root)
    except ModuleNotFoundError:
        print(
            f"{SBOM} is set, and cyclonedx-python-lib is not installed; the run is recorded without a list of packages: "
            f"{how_to_install('standards')}",
            file=sys.stderr,
        )
    except Exception as error:  # whatever a package's metadata hold, the run goes on
        said = printable(" ".join(f"{type(error).__name__}: {error}".split()))
        print(f"{FOLDER}: the list of packages is not written: {said}; `ocrrl sbom` tries again", file=sys.stderr)
    return None


def write_environment(root: Path = Path()) -> Path:
    """The CycloneDX list of this environment, written unless it is there."""
    key = environment_hash()
    path = root / FOLDER / f"{key}.cdx.json"
    if not path.is_file():
        files.write_bytes(path, _cyclonedx(key).encode())
    return path


def _cyclonedx(key: str) -> str:
    from importlib.metadata import distributions

    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    read = (package.metadata for package in distributions())
    packages = {_canonical(about["Name"]): about for about in read if about["Name"]}
    components = {name: _component(about) for name, about in packages.items()}
    python = Component(
        name="python", version=platform.python_version(), type=ComponentType.PLATFORM, bom_ref=f"python@{_python()}"
    )
    subject = components.get("ocrrl") or Component(name="ocrrl", bom_ref="ocrrl")
    others = [component for component in components.values() if component is not subject]
    bom = Bom(components=[python, *others], serial_number=uuid5(NAMESPACE_URL, f"urn:ocrrl:environment:{key}"))
    bom.metadata.component = subject
    bom.metadata.timestamp = None
    bom.register_dependency(subject, [python])
    for name, about in packages.items():
        lines = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
        needed = {_canonical(match[0]) for match in map(_NAME.match, lines) if match}
        bom.register_dependency(components[name], [components[each] for each in needed if each in components])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(about: "PackageMetadata") -> "Component":
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    name, version = about["Name"], about["Version"]
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    text = (about.get("License") or "").strip()  # some hold the whole text
    said = about.get("License-Expression") or ("" if "\n" in text else text) or " AND ".join(classified)
    licenses = [LicenseFactory().make_from_string(said)] if said else []
    url = PackageURL("pypi", name=name, version=version)
    return Component(name=name, version=version, purl=url, bom_ref=str(url), licenses=licenses)


def _canonical(name: str) -> str:
    """As packages' names are compared (PEP 503)."""
    return re.sub("[-_.]+", "-", name).lower()


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()} {sys.platform} {platform.machine()}"


def _metadata_folders() -> list[str]:
    """The names of the folders that hold packages' metadata, which contain name and version; reads no file."""
    return sorted(set(_names_on_path()))


def _names_on_path() -> Iterator[str]:
    for folder in dict.fromkeys(sys.path):
        if Path(folder or ".").is_dir():
            yield from (entry.name for entry in os.scandir(folder or ".") if entry.name.endswith(_ENDINGS))
