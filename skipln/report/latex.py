"""LaTeX: a booktabs tabular for \\input in a paper, with its notes as comments."""

from collections.abc import Iterable

from skipln.report.document import Document, Section
from skipln.system.printing import one_line

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "λ": r"$\lambda$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
    "…": r"\dots{}",
}


def latex(document: Document) -> str:
    """The tabular, which needs \\usepackage{booktabs}."""
    width = max((len(section.lines[0]) for section in document.sections), default=1)
    lines = [f"% {document.title}", r"% \usepackage{booktabs}"]
    lines += [f"% {subject}: {sentence}" for subject, sentence in document.notes]
    lines += [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule"]
    for number, section in enumerate(document.sections):
        if number:
            lines.append(r"\midrule")
        if len(document.sections) > 1:
            lines += [rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{escape(section.heading)}}}}} \\", r"\midrule"]
        lines += _section(section)
    return "\n".join(map(one_line, [*lines, r"\bottomrule", r"\end{tabular}"])) + "\n"


def _section(section: Section) -> list[str]:
    lines = [[escape(cell) for cell in line] for line in section.lines]
    for line, column in section.bold:
        lines[line][column] = rf"\textbf{{{lines[line][column]}}}"
    return [_line(lines[0]), r"\midrule", *map(_line, lines[1:])]


def _line(cells: Iterable[str]) -> str:
    line = " & ".join(cells) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line  # else read as an option of the \\ before it


def escape(words: str) -> str:
    """`words` escaped for LaTeX, including mathematical signs."""
    return "".join(_SPECIAL.get(character, character) for character in words)
