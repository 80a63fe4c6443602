"""The unmodified Python SDK against the release binary: BIN as the only argument.

Every check says what it expected; the first that does not hold ends the run with a failure.
"""

import pathlib
import sys
import tempfile
import time

from openai_codex import Codex, CodexConfig, InvalidRequestError, Sandbox


def check(what: str, holds: bool, found: object = "") -> None:
    print(f"{'ok' if holds else 'FAILED'}: {what}", found if not holds else "", flush=True)
    if not holds:
        sys.exit(1)


def config(binary: str, home: str) -> CodexConfig:
    # Nothing of the user's own configuration may play a part.
    return CodexConfig(codex_bin=binary, cwd=home, env={"APP_SERVER_HOME": home})


def first_process(binary: str, home: str) -> tuple[str, str]:
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home, sandbox=Sandbox.read_only)
        result = thread.run("say something about the sea")
        check("run() returns the offline model's text", "the sea" in (result.final_response or ""), result)
        check("the result carries the items", len(result.items) == 2, result.items)
        check("the result carries the usage", result.usage is not None and result.usage.total.total_tokens > 0, result.usage)
        again = thread.run("and once more")
        check("a second turn runs in the same thread", "once more" in (again.final_response or ""), again)
        thread.set_name("about the sea")
        listed = codex.thread_list()
        check("thread_list() shows the thread", [t.id for t in listed.data] == [thread.id], listed)
        check("its name is shown", listed.data[0].name == "about the sea", listed.data[0].name)
        models = codex.models()
        check("models() names the offline model", [m.id for m in models.data] == ["offline"], models)
        check("account() needs no sign-in", codex.account().requires_openai_auth is False)
        try:
            codex.thread_resume("01890000-0000-7000-8000-000000000000")
            check("an unknown thread is refused", False)
        except InvalidRequestError as error:
            check("an unknown thread is refused as InvalidRequestError", "01890000" in str(error), error)
        handle = thread.turn("slow: 50ms\nlet me be interrupted")
        handle.interrupt()
        statuses = [str(event.payload.turn.status.value) for event in handle.stream() if event.method == "turn/completed"]
        check("an interrupted turn ends as interrupted", statuses == ["interrupted"], statuses)
        return thread.id, result.final_response or ""


def second_process(binary: str, home: str, thread_id: str, said: str) -> None:
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_resume(thread_id)
        stored = thread.read(include_turns=True).thread
        check("read(include_turns=True) shows all turns", len(stored.turns) == 3, stored.turns)
        check("the stored text is what was said", stored.turns[0].items[1].root.text == said, stored.turns[0])
        resumed = thread.run("a turn after the resume")
        check("a resumed thread runs turns", "after the resume" in (resumed.final_response or ""), resumed)


def closing_time(binary: str, home: str) -> None:
    codex = Codex(config(binary, home))
    started = time.monotonic()
    codex.close()
    took_ms = (time.monotonic() - started) * 1000
    check("close() takes less than 100 ms", took_ms < 100, f"{took_ms:.0f} ms")


def main() -> None:
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        thread_id, said = first_process(binary, home)
        second_process(binary, home, thread_id, said)
        closing_time(binary, home)
    print("python SDK: all checks passed")


main()
