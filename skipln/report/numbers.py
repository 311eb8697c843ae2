"""How numbers are written, wherever they are printed."""

EMPTY = "–"


def signed(number: float, decimals: int) -> str:
    """With a real minus; what rounds to zero has no sign."""
    text = f"{abs(number):.{decimals}f}"
    if not float(text):
        return text
    return f"{'−' if number < 0 else '+'}{text}"


def p_value(p: float) -> str:
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def full(value: float | None) -> str:
    """For whatever reads numbers: at most six decimals, without trailing zeros; empty where it is not known."""
    if value is None:
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".")
