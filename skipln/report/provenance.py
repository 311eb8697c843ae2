"""What a result was made with, in words: its code and its machine."""


def code(environment: dict) -> str:
    """The commit and the versions that a result was made with."""
    dirty = " with uncommitted changes" if environment.get("dirty") else ""
    dirty += f" (patch {environment['patch']})" if environment.get("patch") else ""
    versions = f"Python {environment.get('python')}, torch {environment.get('torch')}"
    return f"commit {environment.get('commit') or 'unknown'}{dirty}, {versions}"


def arithmetic(environment: dict, otherwise: str) -> str:
    """Such as "fp32" or "bf16, compiled"; otherwise: what is said of the precision of a record that has none."""
    return f"{environment.get('precision') or otherwise}{', compiled' if environment.get('compiled') else ''}"


def machine(environment: dict) -> str:
    """The processor or accelerator that a result was made on."""
    processor, device = environment.get("cpu"), environment.get("device")
    where = f"{processor}" if device in (None, "cpu") else f"{device} ({processor})"
    return f"trained on {where}, {environment.get('threads')} threads"
