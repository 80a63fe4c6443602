"""The unmodified Python SDK against the release binary: BIN as the only argument.

Threads, models, account, images, goals, errors, and the asynchronous half; what a turn can do is in
`python_sdk_turns.py`.
"""

import asyncio
import base64
import contextlib
import pathlib
import sys
import tempfile
import time

from checks import check
from openai_codex import (
    AsyncCodex,
    Codex,
    CodexConfig,
    ExternalMessage,
    ImageInput,
    InvalidRequestError,
    LocalImageInput,
    MethodNotFoundError,
    Sandbox,
    ServerBusyError,
    TextInput,
    TransportClosedError,
    is_retryable_error,
)
from openai_codex.generated.v2_all import ThreadGoalStatus
from pydantic import BaseModel, ConfigDict

UNKNOWN_THREAD = "01890000-0000-7000-8000-000000000000"
# What a thread keeps for the time after its turn (TURN_COMMANDS in src/limits.rs).
WORK_THAT_MAY_WAIT = 64
# One red pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


class AnyAnswer(BaseModel):
    model_config = ConfigDict(extra="allow")


def config(binary: str, home: str) -> CodexConfig:
    # Nothing of the user's own configuration may play a part.
    return CodexConfig(codex_bin=binary, cwd=home, env={"APP_SERVER_HOME": home})


@contextlib.contextmanager
def raises(what: str, expected: type[BaseException], says: str):
    """Checks that the block raises exactly this class, with these words."""
    try:
        yield
    except Exception as error:
        check(what, type(error) is expected and says in str(error), repr(error))
    else:
        check(what, False, "nothing was raised")


def first_process(binary: str, home: str) -> tuple[str, str]:
    with Codex(config(binary, home)) as codex:
        check("the server says its version", "/0.169.0" in codex.metadata.userAgent, codex.metadata)
        thread = codex.thread_start(cwd=home, sandbox=Sandbox.read_only)
        result = thread.run("say something about the sea")
        check("run() returns the offline model's text", "the sea" in (result.final_response or ""), result)
        check("the result carries the items", len(result.items) == 2, result.items)
        used = result.usage.total.total_tokens if result.usage else 0
        check("the result carries the usage", used > 0, result.usage)
        again = thread.run("and once more")
        check("a second turn runs in the same thread", "once more" in (again.final_response or ""), again)
        thread.set_name("about the sea")
        listed = codex.thread_list()
        check("thread_list() shows the thread", [t.id for t in listed.data] == [thread.id], listed)
        check("its name is shown", listed.data[0].name == "about the sea", listed.data[0].name)
        models = codex.models(include_hidden=True)
        check("models() names the offline model", [m.id for m in models.data] == ["offline"], models)
        check("account() needs no sign-in", codex.account().requires_openai_auth is False)
        handle = thread.turn("slow: 50ms\nlet me be interrupted")
        handle.interrupt()
        ends = [event.payload.turn for event in handle.stream() if event.method == "turn/completed"]
        statuses = [str(turn.status.value) for turn in ends]
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


def threads(binary: str, home: str, thread_id: str) -> None:
    with Codex(config(binary, home)) as codex:
        fork = codex.thread_fork(thread_id, include_turns=False)
        check("thread_fork() makes another thread", fork.id != thread_id)
        check("a fork has the past", len(fork.read(include_turns=True).thread.turns) == 4)
        check("and its own future", "in the fork" in (fork.run("in the fork").final_response or ""))
        kept = codex.thread_resume(thread_id, include_turns=False).read(include_turns=True).thread
        check("which the original does not have", len(kept.turns) == 4, kept.turns)
        brief = codex.thread_fork(thread_id, ephemeral=True)
        check("an ephemeral fork answers", "briefly" in (brief.run("briefly").final_response or ""))

        ids = {item.id for item in codex.thread_list().data}
        check("thread_list() shows both, but nothing ephemeral", ids == {thread_id, fork.id}, ids)
        page = codex.thread_list(limit=1)
        rest = codex.thread_list(limit=1, cursor=page.next_cursor)
        check("thread_list() pages", {page.data[0].id, rest.data[0].id} == ids, (page, rest))
        beyond = codex.thread_list(cursor=rest.next_cursor).data if rest.next_cursor else []
        check("nothing is beyond the last page", beyond == [], beyond)
        found = codex.thread_list(search_term="about the sea").data
        check("thread_list(search_term) finds by name", thread_id in [item.id for item in found], found)
        check("thread_list(cwd) keeps to a folder", codex.thread_list(cwd="/nowhere").data == [])

        codex.thread_archive(fork.id)
        check("an archived thread is not listed", fork.id not in [t.id for t in codex.thread_list().data])
        archived = [t.id for t in codex.thread_list(archived=True).data]
        check("but listed among the archived", archived == [fork.id], archived)
        back = codex.thread_unarchive(fork.id)
        check("thread_unarchive() brings it back", back.id in [t.id for t in codex.thread_list().data])

        fork = codex.thread_resume(fork.id)
        fork.compact()
        after = fork.run("after compact")
        check("a thread goes on after compact()", "after compact" in (after.final_response or ""), after)
        kinds = [item.root.type for turn in fork.read(include_turns=True).thread.turns for item in turn.items]
        check("compact() is in its history", "contextCompaction" in kinds, kinds)


def inputs(binary: str, home: str) -> None:
    picture = pathlib.Path(home, "picture.png")
    picture.write_bytes(PICTURE)
    data_url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home)
        result = thread.run([TextInput("look at"), LocalImageInput(str(picture)), ImageInput(data_url)])
        sent = [part.root.type for part in thread.read(include_turns=True).thread.turns[0].items[0].root.content]
        check("pictures go along with the text", sent == ["text", "localImage", "image"], sent)
        check("and the turn completes", result.final_response is not None, result)
        told = thread.run(ExternalMessage("mailbox", "a letter has come"))
        check("an ExternalMessage runs a turn", told.final_response is not None, told)


def account(binary: str, home: str) -> None:
    kept = pathlib.Path(home, "app-server", "api-key")
    with Codex(config(binary, home)) as codex:
        codex.login_api_key("sk-of-the-check")
        signed_in = codex.account().account
        check("login_api_key() signs in", signed_in is not None and signed_in.root.type == "apiKey", signed_in)
        check("the key's file is the user's alone", kept.stat().st_mode & 0o777 == 0o600)
        with raises("login_chatgpt() is refused and says so", InvalidRequestError, "not supported here"):
            codex.login_chatgpt()
        with raises("login_chatgpt_device_code() as well", InvalidRequestError, "not supported here"):
            codex.login_chatgpt_device_code()
        codex.logout()
        check("logout() forgets the key", codex.account().account is None and not kept.exists())


def goals(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home)
        thread.run("a first turn")
        client = codex._client
        goal = client.thread_goal_set(thread.id, objective="count the ships", status=ThreadGoalStatus.paused).goal
        check("a goal can be set", goal.objective == "count the ships" and goal.thread_id == thread.id, goal)
        check("and cleared", client.thread_goal_clear(thread.id).cleared is True)


def errors(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex:
        with raises("an unknown thread is an InvalidRequestError", InvalidRequestError, UNKNOWN_THREAD):
            codex.thread_resume(UNKNOWN_THREAD)
        with raises("what is not served is a MethodNotFoundError", MethodNotFoundError, "windowsSandbox"):
            codex._client.request("windowsSandbox/readiness", {}, response_model=AnyAnswer)
        thread = codex.thread_start(cwd=home)
        with raises("a failed turn raises with the failure's text", RuntimeError, "limit"):
            thread.run("fail: usage_limit")
        handle = thread.turn("done")
        handle.run()
        with raises("steering an ended turn is an InvalidRequestError", InvalidRequestError, "no active turn"):
            handle.steer("too late")

    codex = Codex(config(binary, home))
    thread = codex.thread_start(cwd=home)
    handle = thread.turn("slow: 5s\nnobody will hear the end of this")
    busy = None
    for _ in range(WORK_THAT_MAY_WAIT + 1):
        try:
            thread.compact()
        except Exception as error:
            busy = error
    check("too much at once is a ServerBusyError", type(busy) is ServerBusyError, repr(busy))
    check("and said to be retryable", is_retryable_error(busy))
    codex._client._proc.kill()
    with raises("a dead server is a TransportClosedError", TransportClosedError, ""):
        handle.run()
    codex.close()


async def asynchronous(binary: str, home: str) -> None:
    async with AsyncCodex(config(binary, home)) as codex:
        words = ["rivers", "lakes", "harbours"]

        async def talk(word: str) -> str:
            thread = await codex.thread_start(cwd=home)
            first = await thread.run(f"slow: 20ms\ntell me about {word}")
            second = await thread.run(f"more about {word}")
            return (first.final_response or "") + (second.final_response or "")

        answers = await asyncio.gather(*map(talk, words))
        own = [answer.count(word) == 2 for answer, word in zip(answers, words)]
        total = sum(answer.count(word) for answer in answers for word in words)
        check("three threads at once answer, each its own", all(own) and total == 6, answers)
        check("AsyncCodex: models()", [m.id for m in (await codex.models()).data] == ["offline"])
        check("AsyncCodex: account()", (await codex.account()).requires_openai_auth is False)
        thread = await codex.thread_start(cwd=home)
        await thread.run("kept for later")
        await thread.set_name("an asynchronous one")
        fork = await codex.thread_fork(thread.id)
        await codex.thread_archive(fork.id)
        await codex.thread_unarchive(fork.id)
        resumed = await codex.thread_resume(fork.id)
        await resumed.compact()
        stored = (await thread.read(include_turns=True)).thread
        check("AsyncCodex: name, fork, archive, unarchive, resume, compact, read", stored.name == "an asynchronous one")


def closing_time(binary: str, home: str) -> None:
    def close() -> float:
        codex = Codex(config(binary, home))
        started = time.monotonic()
        codex.close()
        return time.monotonic() - started

    # Of several, because the machine may be busy; after two seconds close() kills.
    took_s = min(close() for _ in range(5))
    check("close() takes less than a second", took_s < 1, f"{took_s:.3f} s")


def main() -> None:
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        thread_id, said = first_process(binary, home)
        second_process(binary, home, thread_id, said)
        threads(binary, home, thread_id)
        inputs(binary, home)
        account(binary, home)
        goals(binary, home)
        errors(binary, home)
        asyncio.run(asynchronous(binary, home))
        closing_time(binary, home)
    print("python SDK: all checks passed")


main()
