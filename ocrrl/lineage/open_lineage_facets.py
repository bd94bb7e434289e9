"""The facets of OpenLineage events: the specification's where it has one, else our own, whose names begin with `ocrrl_`."""

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attr
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    source_code_location_job,
)

from ocrrl.lineage.reading.revision import git

PRODUCER = f"urn:ocrrl:{version('ocrrl')}"


@attr.define
class CodeRunFacet(RunFacet):
    """The code that a run used: git's HEAD, the tracked files that differed from it, and DVC's hash of every file or folder."""

    revision: str | None = None
    modified: list[str] | None = None
    hashes: list[dict[str, str]] = attr.field(factory=list)

    @staticmethod
    def _get_schema() -> str:
        return "urn:ocrrl:facets:CodeRunFacet:1"


@attr.define
class RecordRunFacet(RunFacet):
    """What a run took and where it ran: fields of the run record."""

    record: dict[str, Any] = attr.field(factory=dict)

    @staticmethod
    def _get_schema() -> str:
        return "urn:ocrrl:facets:RecordRunFacet:1"


def run_facets(
    revision: str | None, modified: list[str] | None, code: Mapping[str, str], parameters: Mapping[str, Any]
) -> dict[str, RunFacet]:
    """Of a run that begins."""
    listed = [
        execution_parameters_run.ExecutionParameter(key, value=value if isinstance(value, str) else json.dumps(value))
        for key, value in flattened(parameters)
    ]
    hashes = [{"path": path, "hash": value} for path, value in code.items()]
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version("ocrrl"), name="ocrrl"),
        "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(listed),
        "ocrrl_code": CodeRunFacet(revision, modified, hashes),
    }
    if flow := os.environ.get("OCRRL_FLOW_RUN"):
        job = parent_run.Job("prefect", os.environ.get("OCRRL_DEPLOYMENT") or "flow")
        facets["parent"] = parent_run.ParentRunFacet(parent_run.Run(flow), job)
    return facets


def end_facets(failure: str, facts: Mapping[str, Any]) -> dict[str, RunFacet]:
    """Of a run that has ended."""
    facets: dict[str, RunFacet] = {"ocrrl_record": RecordRunFacet(dict(facts))}
    if failure:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(failure, "python")
    return facets


def job_facets(root: Path, revision: str | None) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "OCRRL", "STAGE")}
    if url := (git(root, "remote", "get-url", "origin") or "").strip():
        where = _without_password(url)
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            "git", where, repoUrl=where, version=revision
        )
    return facets


def dataset_facets(hash_: str | None) -> dict[str, DatasetFacet]:
    """Of a dataset with this hash of DVC's; none where it is not known."""
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(hash_)} if hash_ else {}


def flattened(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every value of nested mappings, with its dotted name."""
    if not isinstance(values, Mapping):
        return [(prefix, values)]
    return [row for key, value in values.items() for row in flattened(value, f"{prefix}.{key}" if prefix else str(key))]


def _without_password(url: str) -> str:
    """A remote's URL as it may be shown: without the user and the token that some have in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else url
