"""The code and the machine that made a result, in words."""


def code(environment: dict) -> str:
    """The commit and the versions that made a result."""
    dirty = " with uncommitted changes" if environment.get("dirty") else ""
    dirty += f" (patch {environment['patch']})" if environment.get("patch") else ""
    versions = f"Python {environment.get('python')}, torch {environment.get('torch')}"
    return f"commit {environment.get('commit') or 'unknown'}{dirty}, {versions}"


def arithmetic(environment: dict, otherwise: str) -> str:
    """Such as "fp32" or "bf16, compiled". otherwise: the words for a record without a precision."""
    return f"{environment.get('precision') or otherwise}{', compiled' if environment.get('compiled') else ''}"


def machine(environment: dict) -> str:
    """The processor or accelerator that made a result."""
    processor, device = environment.get("cpu"), environment.get("device")
    where = f"{processor}" if device in (None, "cpu") else f"{device} ({processor})"
    threads = environment.get("threads")
    return f"trained on {where}, {threads} {'thread' if threads == 1 else 'threads'}"
