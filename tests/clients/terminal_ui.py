"""The unmodified terminal UI against the release binary: BIN and CODEX as arguments.

`codex --remote` (and plain `codex`, which finds the server by its socket) runs on a terminal of its own; keys
are typed and the screen is read. The offline model answers.
"""

import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile

from checks import check
from screen import Screen
from serving import Server

READY = r"Ask Codex to do anything"
DONE = r"Worked for"


class Stage:
    """Where all of it plays: a project with a repository, the server's home, the client's home."""

    def __init__(self, binary: str, codex: str, place: pathlib.Path):
        self.binary, self.codex, self.place = binary, codex, place
        self.project, self.home, self.client = (place / name for name in ("project", "home", "client"))
        for folder in (self.project, self.home, self.client):
            folder.mkdir()
        # What is typed comes in bursts here, and is not meant as pasted.
        (self.client / "config.toml").write_text("disable_paste_burst = true\n")
        (self.project / "lighthouse.txt").write_text("a lamp\n")
        git = ["git", "-C", str(self.project), "-c", "user.name=a", "-c", "user.email=a@example.com"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a lighthouse"]):
            subprocess.run([*git, *words], check=True)

    def server(self, listen: str) -> Server:
        return Server(self.binary, listen, str(self.home), str(self.project))

    @contextlib.contextmanager
    def ui(self, name: str, *words: str, home: pathlib.Path | None = None):
        """The terminal UI, ready for a prompt unless it asks something first."""
        env = {"CODEX_HOME": str(home or self.client), "HOME": str(self.place)}
        with Screen(name, [self.codex, *words], str(self.project), env) as screen:
            yield screen


def quit_ui(screen: Screen, what: str) -> None:
    screen.enter("/quit")
    screen.shows(f"{what}: /quit ends it without an error", r"ENDED-0")


def prompt(screen: Screen, *lines: str) -> None:
    """Types a prompt of several lines and sends it."""
    for line in lines[:-1]:
        screen.type(line)
        screen.key("C-j")
    screen.enter(lines[-1])


def answered(screen: Screen, what: str, words: str) -> None:
    """The answer to a prompt that says `words` has come, and its turn has ended."""
    screen.shows(what, rf"You said: [^›]*{words}[^›]*{DONE}")


def talk(screen: Screen) -> None:
    screen.shows("the terminal UI starts", READY)
    screen.enter("tell me about the sea")
    answered(screen, "a prompt is answered", "the sea")

    prompt(screen, "slow: 500ms", "one two three four five six seven")
    screen.shows("an answer shows while it streams", r"You said: one(?! two three four five six seven)")
    screen.shows("and then it is whole", r"You said: one two three four five six seven " + DONE)

    screen.enter("!echo from-the-shell-$((6*7))")
    screen.shows("!command runs and shows its output", r"You ran [^›]*└ from-the-shell-42")


def approve(screen: Screen) -> None:
    screen.enter("escalate: echo outside-$((40+2))")
    screen.shows("an approval is asked for", r"Would you like to run the following command\?")
    screen.key("y")
    screen.shows("the approved command runs", r"Ran echo outside[^›]*└ outside-42")
    screen.shows("and its turn goes on", r"exec_command answered: [^›]*outside-42[^›]*" + DONE)
    screen.enter("escalate: echo never-$((1+1))")
    screen.shows("it asks again", r"Would you like to run the following command\?")
    screen.key("Escape")
    screen.shows("Esc declines and interrupts", r"You canceled the request[^›]*Conversation interrupted")
    screen.shows_no("what was declined did not run", r"never-2")


def steer_and_interrupt(screen: Screen) -> None:
    prompt(screen, "slow: 300ms", "a long answer about ships and their captains, and about the harbours")
    screen.shows("a turn runs", r"esc to interrupt|You said: [^›]*slow")
    screen.enter("and now about whales")
    answered(screen, "Enter in a turn steers it", "about whales")
    prompt(screen, "slow: 2s", "an answer that nobody will wait for")
    screen.shows("another turn runs", r"esc to interrupt")
    screen.key("Escape")
    screen.shows("Esc interrupts it", r"nobody will wait for [^›]*Conversation interrupted")
    screen.enter("are you still there")
    answered(screen, "the thread goes on after an interrupt", "still there")


def commands(screen: Screen, stage: Stage, url: str) -> str:
    screen.enter("/status")
    screen.shows("/status shows the server", r"Server:\s+" + re.escape(url))
    session = screen.shows("/status shows the thread", r"Session:\s+([0-9a-f-]{36})").group(1)
    screen.shows("/status shows the model", r"Model:\s+offline")

    screen.enter("/model")
    screen.shows("/model offers the models", r"1\. offline \(current\)")
    screen.key("Escape")
    screen.shows_no("Esc leaves the choice", r"Select Model", quiet=True)

    screen.enter("/rename about the sea")
    screen.shows("/rename names the thread", r"project · about the sea")

    (stage.project / "lighthouse.txt").write_text("a brighter lamp\n")
    screen.enter("/diff")
    screen.shows("/diff shows the changes", r"\+a brighter lamp")
    screen.key("q")
    screen.shows_no("q leaves the diff", r"D I F F", quiet=True)

    screen.type("@lighth")
    screen.shows("@ finds files", r"lighthouse\.txt.*File")
    screen.key("Tab")
    screen.shows("Tab takes the file", r"› .*lighthouse\.txt ")
    screen.key("C-u")
    screen.shows("the prompt is empty again", READY, quiet=True)

    screen.enter("/compact")
    screen.shows("/compact sums up", r"Context compacted")

    screen.enter("/review")
    screen.shows("/review offers presets", r"Select a review preset")
    screen.key("2")
    screen.shows("a review starts", r"Code review started: current changes")
    screen.shows("and is finished", r"Code review finished")
    screen.shows("the review's turn ends", r"Code review finished[^›]*" + DONE, quiet=True)

    screen.enter("/fork")
    screen.shows("/fork makes a thread of its own", r"Fork created|Thread forked from")
    screen.enter("said in the fork")
    answered(screen, "the fork answers", "said in the fork")
    screen.enter("/new")
    screen.shows_no("/new starts an empty thread", r"said in the fork")
    screen.shows("the new thread is ready", READY, quiet=True)
    screen.enter("said in the new one")
    answered(screen, "the new thread answers", "said in the new one")
    return session


def resume(stage: Stage, url: str, session: str) -> None:
    with stage.ui("resume", "resume", session, "--remote", url) as screen:
        screen.shows("`resume ID` shows what was said", r"are you still there|Code review finished")
        screen.enter("back again after a while")
        answered(screen, "a resumed thread answers", "back again")
        quit_ui(screen, "resume ID")
    with stage.ui("last", "resume", "--last", "--remote", url) as screen:
        screen.shows("`resume --last` shows the thread used last", r"back again after a while")
        quit_ui(screen, "resume --last")
    with stage.ui("picker", "resume", "--remote", url) as screen:
        screen.shows("the picker lists threads by name", r"about the sea")
        screen.shows("and by their first words", r"said in the new one")
        screen.type("about the")
        screen.shows_no("typing narrows it down", r"said in the new one")
        screen.key("Enter")
        screen.shows("the picker resumes the choice", r"back again after a while")
        quit_ui(screen, "picker")


def restart(stage: Stage) -> None:
    with stage.server("ws://127.0.0.1:0") as first, stage.ui("restart", "--remote", first.url) as screen:
        screen.shows("ready before the restart", READY)
        prompt(screen, "slow: 100ms", "words that are still being said while the server is told to stop")
        screen.shows("a turn runs while the server is told to stop", r"You said: [^›]*words")
        first.tell_to_stop()
        answered(screen, "the drain lets the turn end", "told to stop")
        check("the server drains and ends", first.wait() == 0, first.said())
        screen.shows("the terminal UI notices", r"Reconnecting to server")
        with stage.server(first.url):
            screen.shows_no("and connects again by itself", r"Reconnecting to server")
            screen.enter("do you remember me")
            answered(screen, "the thread goes on after the restart", "remember me")
            quit_ui(screen, "after a restart")


def sockets(stage: Stage) -> None:
    path = stage.place / "own.sock"
    with stage.server(f"unix://{path}"), stage.ui("unix", "--remote", f"unix://{path}") as screen:
        screen.shows("`--remote unix://` starts", READY)
        screen.enter("through a socket")
        answered(screen, "a prompt through a unix socket is answered", "through a socket")
        quit_ui(screen, "unix socket")
    # Its home is the server's: that is where plain `codex` looks for the socket. It asks whether to trust
    # the folder unless the server's configuration says so.
    trusted = f'[projects."{stage.project}"]\ntrust_level = "trusted"\n'
    (stage.home / "config.toml").write_text("disable_paste_burst = true\n" + trusted)
    with stage.server("unix://"):
        folder = stage.home / "app-server-control"
        mode = folder.stat().st_mode & 0o777
        check("the control socket's folder is the user's alone", mode == 0o700, oct(mode))
        with stage.ui("plain", home=stage.home) as screen:
            screen.shows("plain `codex` starts", READY)
            screen.enter("without any flag")
            answered(screen, "plain `codex` is answered by this server", "without any flag")
            quit_ui(screen, "plain codex")
        check("plain `codex` has started no server of its own", not (stage.home / "packages").exists())


def main() -> None:
    binary, codex = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as place:
        stage = Stage(binary, codex, pathlib.Path(place))
        with stage.server("ws://127.0.0.1:0") as server:
            with stage.ui("first", "--remote", server.url) as screen:
                talk(screen)
                approve(screen)
                steer_and_interrupt(screen)
                session = commands(screen, stage, server.url)
                quit_ui(screen, "the first run")
            resume(stage, server.url, session)
        restart(stage)
        sockets(stage)
    print("terminal UI: all checks passed")


main()
