"""What every client's checks are made of: a line for each thing that was expected, and the end at the first
that did not happen."""


def check(what: str, holds: bool, found: object = "") -> None:
    print(f"{'ok' if holds else 'FAILED'}: {what}", found if not holds else "", flush=True)
    if not holds:
        raise SystemExit(1)
