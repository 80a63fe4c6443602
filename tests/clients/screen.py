"""A program on a terminal of its own (tmux), typed into and read like by a person: keys in, lines out.

Nothing here waits for a fixed time: every wait is for something to show, with a deadline, and what the
screen showed instead is printed when it does not come.
"""

import os
import re
import shlex
import subprocess
import sys
import time

from checks import check

DEADLINE_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.04


def flat(shown: str) -> str:
    """All on one line with single blanks: where a terminal breaks lines says nothing."""
    return " ".join(shown.split())


class Screen:
    """One tmux server with one window; ends with the `with` block, and its program with it."""

    def __init__(self, name: str, command: list[str], cwd: str, env: dict[str, str], lines: int = 50):
        self.socket = f"app-server-{os.getpid()}-{name}"
        program = shlex.join(["env", *(f"{key}={value}" for key, value in env.items()), *command])
        # The word at the end tells that the program has ended, and keeps what it said.
        program = f"{program}; echo ENDED-$?; exec cat"
        # A tmux around this one is none of its business.
        around = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE")}
        around |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        start = ["tmux", "-f", "/dev/null", "-L", self.socket, "new-session", "-d", "-x", "120", "-y", str(lines)]
        subprocess.run([*start, "-c", cwd, program], check=True, env=around)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], check=False, capture_output=True)

    def text(self, scrolled: bool = False) -> str:
        """What is shown now; with everything that has left the top if `scrolled`."""
        back = ["-S", "-"] if scrolled else []
        shown = subprocess.run(
            ["tmux", "-L", self.socket, "capture-pane", "-p", "-J", *back], capture_output=True, text=True, check=False
        )
        return shown.stdout

    def key(self, *keys: str) -> None:
        subprocess.run(["tmux", "-L", self.socket, "send-keys", *keys], check=True)

    def type(self, text: str) -> None:
        """Types a line and waits until it is shown: what comes quicker than a person types counts as pasted."""
        subprocess.run(["tmux", "-L", self.socket, "send-keys", "-l", text], check=True)
        self.shows(f"typed: {text}", re.escape(text.lstrip("!")[:60]), quiet=True)

    def enter(self, text: str) -> None:
        self.type(text)
        self.key("Enter")

    def until(self, what: str, holds, deadline: float = DEADLINE_SECONDS, quiet: bool = False):
        """Waits until `holds(screen text)` says something true, and returns that."""
        end = time.monotonic() + deadline
        while True:
            shown = self.text()
            found = holds(shown)
            if found:
                if not quiet:
                    check(what, True)
                return found
            if time.monotonic() > end:
                print(f"FAILED: {what}; after {deadline:.0f} s the screen shows:", flush=True)
                print(self.text(scrolled=True).rstrip(), flush=True)
                sys.exit(1)
            time.sleep(LOOK_EVERY_SECONDS)

    def shows(self, what: str, pattern: str, deadline: float = DEADLINE_SECONDS, quiet: bool = False) -> re.Match:
        """Waits until the pattern is somewhere on the screen."""
        looked_for = re.compile(pattern)
        return self.until(what, lambda shown: looked_for.search(flat(shown)), deadline, quiet)

    def shows_no(self, what: str, pattern: str, deadline: float = DEADLINE_SECONDS, quiet: bool = False) -> None:
        """Waits until the pattern is nowhere on the screen."""
        looked_for = re.compile(pattern)
        self.until(what, lambda shown: not looked_for.search(flat(shown)), deadline, quiet)
