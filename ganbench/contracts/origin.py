"""Who made the data, under which terms, and how samples were made from their files. No torch: records hold it."""

from __future__ import annotations

from msgspec import Struct


class Origin(Struct, frozen=True):
    """Where data come from, and how samples were made from files. Records keep it, and pages show it.

    ``citation`` says who made the data: authors, year and title. ``licence`` states the terms of use, or that there are
    none. ``homepage`` is where both are described. ``conversion`` says how files became samples, for example "central
    square, Lanczos filter (Pillow 12.0), 8 bits".
    """

    citation: str = ""
    licence: str = ""
    homepage: str = ""
    conversion: str = ""
