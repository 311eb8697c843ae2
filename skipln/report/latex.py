"""table.tex: a booktabs tabular to \\input into a paper, with its footnotes as comments."""

from collections.abc import Iterable

from skipln.printing import one_line
from skipln.tables.presentation import text
from skipln.tables.presentation.footnotes import footnotes, sources
from skipln.tables.statistics.summary import Block, Summary

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


def latex(summary: Summary) -> str:
    """The tabular; needs \\usepackage{booktabs}."""
    width = max((len(text.header(block)) for block in summary.blocks), default=1)
    lines = [f"% {summary.manifest.name}: {summary.manifest.title}", r"% \usepackage{booktabs}"]
    lines += [f"% {subject}: {sentence}" for subject, sentence in footnotes(summary)]
    lines += [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule"]
    for number, block in enumerate(summary.blocks):
        if number:
            lines.append(r"\midrule")
        if len(summary.blocks) > 1:
            lines += [rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{escape(block.column.label)}}}}} \\", r"\midrule"]
        lines += _block(summary, block)
    return "\n".join(map(one_line, [*lines, r"\bottomrule", r"\end{tabular}"])) + "\n"


def _block(summary: Summary, block: Block) -> list[str]:
    lines = [_line(map(escape, text.header(block))), r"\midrule"]
    for entry in block.entries:
        cells = [escape(cell) for cell in text.cells(block, entry, summary.manifest.baseline, sources(summary))]
        if entry.significant:
            at = text.difference_at(block)
            cells[at] = rf"\textbf{{{cells[at]}}}"
        lines.append(_line(cells))
    return lines


def _line(cells: Iterable[str]) -> str:
    line = " & ".join(cells) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line  # else an option of the \\ before it


def escape(words: str) -> str:
    """`words` as LaTeX prints them, mathematical signs included."""
    return "".join(_SPECIAL.get(character, character) for character in words)
