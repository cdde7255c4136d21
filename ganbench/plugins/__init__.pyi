from .loading import build
from .metadata import ALLOW_LIST, allow_list, announced, canonical, checkout_of, installed, of_kind
from .names import find, find_for, find_many, hand_over, unambiguous
from .source import Source

__all__ = [
    "ALLOW_LIST",
    "Source",
    "allow_list",
    "announced",
    "build",
    "canonical",
    "checkout_of",
    "find",
    "find_for",
    "find_many",
    "hand_over",
    "installed",
    "of_kind",
    "unambiguous",
]
