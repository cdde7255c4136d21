"""Finds phrases that read as translated, by file and line; ``tox -e lint`` runs it.

    python tests/style.py [FILE ...]

Without a file: the documentation, the core and the plugins. It reads the text of Markdown outside code, and docstrings,
comments and strings of Python (those of three words or more). The exit code is 1 if it finds anything.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

PLACES = (
    *("README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CHANGELOG.md"),
    *(".github", "docs", "ganbench", "plugins"),
)

PHRASES = (
    r"(?:is|are|was|were|be|been|being) had",
    r"(?:is|are|was|were|be|been|being) told(?! (?:apart|from))",
    r"(?:is|are) to go",
    r"what (?:is|are) to",
    r"whoever",
)
PHRASE = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)
SENTENCE = re.compile(r"\S.*?(?:[.!?;|][)\"'*_]*(?=\s)|$)", re.DOTALL)
LINK = re.compile(r"\[[^]]+\]: \S+$")  # where a reference link leads
LABEL = re.compile(r"(?:[-*+>] +|\d+[.)] +)?(?:\*\*[^*]+\*\*|[\w.`-]+)(?: x+)*:(?=\s)")  # what a line defines
COLON = re.compile(r"(?<![:\0]):(?=[\s*_\"']|$)")
ASIDE = re.compile(r"\([^()]*\)|\[[^][]*\]|{[^{}]*}")

CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|<!--.*?-->", re.DOTALL)  # or a comment
FENCE = re.compile(r"\s*(```|~~~)")
ITEM = re.compile(r"\s*(?:[-*+>|]|\d+[.)])\s|#+\s")  # of a list, a table or a quotation; or a heading
THREE_WORDS = re.compile(r"[^\W\d_]+\W+[^\W\d_]+\W+[^\W\d_]+")

Line = tuple[int, str]  # its number in the file, and its text


def findings(path: Path) -> list[tuple[int, str]]:
    """Line and phrase of everything found in a file, in order."""
    text = path.read_text("utf-8")
    blocks = in_python(text) if path.suffix == ".py" else paragraphs(enumerate(text.splitlines(), start=1))
    return sorted(found for block in blocks for found in in_paragraph(block))


def in_paragraph(block: list[Line]) -> Iterator[tuple[int, str]]:
    """Line and phrase of everything found in one paragraph.

    Colons are counted from one full stop or semicolon to the next, but for those in brackets, after a label that the
    sentence begins with (``width: the number of channels``), and after a value that a string is formatted with.
    """
    text = _blotted(CODE_SPAN, "\n".join(line.strip() for _, line in block))

    def line_of(offset: int) -> int:
        return block[text.count("\n", 0, offset)][0]

    for phrase in PHRASE.finditer(re.sub(r"\s", " ", text)):
        yield line_of(phrase.start()), phrase[0]
    for sentence in SENTENCE.finditer(_blotted(ASIDE, text)):
        label = LABEL.match(sentence[0])
        colons = [*COLON.finditer(sentence[0], label.end() if label else 0)]
        if len(colons) > 1:
            yield line_of(sentence.start() + colons[1].start()), f"{len(colons)} colons in a sentence"


def _blotted(pattern: re.Pattern[str], text: str) -> str:
    """Without what a pattern matches, but as long and with the same lines."""
    return pattern.sub(lambda match: re.sub(r"\S", "x", match[0]), text)


def paragraphs(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Paragraphs, headings, and items of lists and tables, one by one, without fenced or indented code."""
    block: list[Line] = []
    fenced, code, blank = False, False, True
    for number, text in lines:
        fence = FENCE.match(text) is not None
        fenced ^= fence
        code = fence or fenced or (_indent(text) >= 4 and (blank or code) and not ITEM.match(text))
        blank = not text.strip()
        code |= LINK.match(text) is not None
        if block and (code or blank or _begins_anew(text, block)):
            yield block
            block = []
        if not code and not blank:
            block.append((number, text))
    if block:
        yield block


def _begins_anew(text: str, block: list[Line]) -> bool:
    """Whether a line below others is no continuation of theirs: an item, or an argument in a docstring."""
    first, last = block[0][1], block[-1][1]
    deeper = _indent(text) - _indent(first)
    return bool(ITEM.match(text)) or (deeper > 0 and last.endswith(":")) or (deeper <= 0 < _indent(first))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def in_python(text: str) -> Iterator[list[Line]]:
    """Paragraphs of the docstrings, the comments and the strings of a module."""
    yield from _comments(text)
    for node in _outermost_strings(ast.parse(text)):
        value = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in _parts(node))
        if THREE_WORDS.search(value):
            last = node.end_lineno or node.lineno
            lines = [(min(node.lineno + i, last), line) for i, line in enumerate(value.expandtabs().split("\n"))]
            yield from paragraphs(_dedented(lines))


def _outermost_strings(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node
        else:
            yield from _outermost_strings(node)


def _parts(node: ast.Constant | ast.JoinedStr) -> list[ast.expr]:
    return node.values if isinstance(node, ast.JoinedStr) else [node]


def _dedented(lines: list[Line]) -> list[Line]:
    """Without the indentation that the lines below the first one share."""
    margin = min((_indent(line) for _, line in lines[1:] if line.strip()), default=0)
    return [lines[0], *((number, line[margin:]) for number, line in lines[1:])]


def _comments(text: str) -> Iterator[list[Line]]:
    """Comments; those on lines below one another are one paragraph."""
    block: list[Line] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        number, alone = token.start[0], not token.line[: token.start[1]].strip()
        if block and not (alone and block[-1][0] == number - 1):
            yield block
            block = []
        block.append((number, token.string.lstrip("# ")))
    if block:
        yield block


def files(arguments: list[str]) -> list[Path]:
    """What is asked for; by default, every file of prose and code in ``PLACES``."""
    if arguments:
        return [Path(argument) for argument in arguments]
    root = Path(__file__).parent.parent
    found = [path for place in PLACES for path in [root / place, *sorted((root / place).rglob("*"))]]
    return [path for path in found if path.is_file() and path.suffix in (".md", ".py")]


def main(arguments: list[str]) -> int:
    """Print what is found; the exit code."""
    lines = [f"{_shown(path)}:{number}: {phrase}" for path in files(arguments) for number, phrase in findings(path)]
    print(*lines, sep="\n", end="\n" if lines else "")
    return int(bool(lines))


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
