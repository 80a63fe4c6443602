"""The README's examples of clients, as they stand there: BIN as the only argument."""

import os
import pathlib
import subprocess
import sys
import tempfile

from checks import check

README = pathlib.Path(__file__).parents[2] / "README.md"


def example(title: str, language: str) -> str:
    """The first block in this language below a title."""
    below = README.read_text().split(f"**{title}", 1)[1]
    return below.split(f"```{language}\n", 1)[1].split("```", 1)[0]


def main() -> None:
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        os.symlink(binary, pathlib.Path(place, "app-server"))
        env = {**os.environ, "APP_SERVER_HOME": f"{place}/home", "PATH": f"{place}:{os.environ['PATH']}"}
        os.mkdir(env["APP_SERVER_HOME"])

        def run(what: str, command: list[str], *expected: str) -> None:
            done = subprocess.run(command, env=env, cwd=place, capture_output=True, text=True, timeout=60)
            fits = done.returncode == 0 and all(words in done.stdout for words in expected)
            check(f"README: {what}", fits, f"{done.returncode}\n{done.stdout}\n{done.stderr}")

        script = example("From a shell script", "sh")
        run("from a shell script", ["bash", "-e", "-o", "pipefail", "-c", script], '"cwd":"/tmp"', "the sea")
        lines = example("From five lines of Python", "python")
        check("README: they are five lines", len(lines.strip().splitlines()) == 5, lines)
        run("from five lines of Python", [sys.executable, "-c", lines], "me/0.169.0", "offline")
        sdk = example("Connect the SDK", "python").replace("/path/to/app-server", str(binary))
        run("connect the SDK", [sys.executable, "-c", sdk], "something longer", "about the sea", "refused:")
    print("README: all examples of clients run")


main()
