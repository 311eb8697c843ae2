"""How numbers are written everywhere."""

EMPTY = "–"


def signed(number: float, decimals: int) -> str:
    """A number with its sign (a real minus); a number that rounds to zero has no sign."""
    text = f"{abs(number):.{decimals}f}"
    if not float(text):
        return text
    return f"{'−' if number < 0 else '+'}{text}"


def p_value(p: float) -> str:
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def full(value: float | None) -> str:
    """A number for programs: at most six decimals, without trailing zeros; empty if unknown."""
    if value is None:
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".")
