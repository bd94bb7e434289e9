"""One finding of `ocrrl doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty where all is well. What is not `required` only some users need."""

    subject: str
    found: str
    remedy: str = ""
    required: bool = True
