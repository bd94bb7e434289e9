"""The licence that a person names for what is published, as a hub's card writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_NO_LICENCE = ("unknown", "none", "todo", "tbd")


@dataclass(frozen=True)
class Licence:
    """A hub's identifier (`apache-2.0`, `cc-by-4.0`); `other` comes with a name and a link."""

    identifier: str
    name: str = ""
    link: str = ""

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.identifier) or self.identifier in _NO_LICENCE:
            raise ValueError(
                f"license must be a hub's identifier such as apache-2.0, cc-by-4.0 or other, got {self.identifier!r}"
            )
        if self.identifier == "other" and not (self.name and self.link):
            raise ValueError(
                f"license other must come with license_name and license_link, got {self.name!r} and {self.link!r}"
            )

    @classmethod
    def of_card(cls, values: Mapping[str, Any]) -> "Licence":
        """Of a card's front matter; ValueError where none is named, or none that a hub takes."""
        if not values.get("license"):
            raise ValueError("license must be named, got none")
        return cls(
            *(str(values[key]) if values.get(key) else "" for key in ("license", "license_name", "license_link"))
        )

    def front_matter(self) -> dict[str, str]:
        """The entries of a card."""
        entries = {"license": self.identifier, "license_name": self.name, "license_link": self.link}
        return {key: value for key, value in entries.items() if value}

    @property
    def url(self) -> str:
        """The link, else the page that hubs show for the identifier."""
        return self.link or f"https://choosealicense.com/licenses/{self.identifier}/"
