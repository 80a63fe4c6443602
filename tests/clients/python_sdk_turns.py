"""The unmodified Python SDK against the release binary: BIN as the only argument.

What turns can do: streams, approvals, steering, interrupts, structured output, pictures, failures, goals,
compaction and forks, synchronous and asynchronous. The offline model answers where nothing matters but what the
client sees, and a mock of a provider where it matters what the model sees.
"""

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

from checks import check
from mock_model import Answer, mock_model
from openai_codex import (
    ApprovalMode,
    AsyncCodex,
    Codex,
    CodexConfig,
    ImageInput,
    InvalidParamsError,
    InvalidRequestError,
    LocalImageInput,
    Sandbox,
    TextInput,
)
from openai_codex._goal import _GoalNotificationStream
from openai_codex.generated.v2_all import ReasoningEffort, ReasoningSummary, ThreadGoalStatus
from pydantic import BaseModel, Field

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
# Far more than any of these steps takes; only a step that hangs gets here.
PATIENCE_SECONDS = 20.0
COMMAND_APPROVAL = "item/commandExecution/requestApproval"
FILE_APPROVAL = "item/fileChange/requestApproval"


def config(binary: str, home: str, settings: tuple[str, ...] = ()) -> CodexConfig:
    # Nothing of the user's own configuration may play a part.
    return CodexConfig(codex_bin=binary, cwd=home, env={"APP_SERVER_HOME": home}, config_overrides=settings)


def until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    check(what, holds())


class Decider:
    """Answers the server's questions in the SDK's place, and keeps them."""

    def __init__(self, client: object):
        self.asked: list[tuple[str, dict]] = []
        self.decision: object = "accept"
        # The SDK's constructor for a whole client has no parameter for it.
        client._approval_handler = self.decide

    def decide(self, method: str, params: dict | None) -> dict:
        self.asked.append((method, params or {}))
        return {"decision": self.decision} if method in (COMMAND_APPROVAL, FILE_APPROVAL) else {}

    def take(self) -> list[tuple[str, dict]]:
        asked, self.asked = self.asked, []
        return asked


@contextlib.contextmanager
def raises(what: str, expected: type[BaseException], says: str) -> Iterator[None]:
    """Checks that the block raises exactly this class, with these words."""
    try:
        yield
    except Exception as error:
        check(what, type(error) is expected and says in str(error), repr(error))
    else:
        check(what, False, "nothing was raised")


def of_kind(result: object, kind: str) -> list:
    return [item.root for item in result.items if item.root.type == kind]


def completed(events: Iterable) -> list:
    """The items that these events completed."""
    return [event.payload.item.root for event in events if event.method == "item/completed"]


def streams(binary: str, home: str) -> None:
    with Codex(config(binary, home, ("tools.update_plan.enabled=true",))) as codex:
        thread = codex.thread_start(cwd=home)
        handle = thread.turn("think: let me see\nplan: look; answer\nfour words about whales")
        events = list(handle.stream())
        methods = [event.method for event in events]
        ends = (methods[0], methods[-1])
        check("a stream begins and ends with its turn", ends == ("turn/started", "turn/completed"), methods)
        unknown = [event.method for event in events if type(event.payload).__name__ == "UnknownNotification"]
        check("the SDK understands every notification of the stream", unknown == [], unknown)
        ids = {event.payload.turn_id for event in events if hasattr(event.payload, "turn_id")}
        check("all of them are of this turn", ids == {handle.id}, ids)
        deltas = "".join(event.payload.delta for event in events if event.method == "item/agentMessage/delta")
        done = {item.type: item for item in completed(events)}
        check("the deltas are the message", deltas == done["agentMessage"].text and "about whales" in deltas, deltas)
        thought = "".join(event.payload.delta for event in events if event.method == "item/reasoning/summaryTextDelta")
        check("so are those of a thought", [thought] == done["reasoning"].summary == ["let me see"], thought)
        plans = [event.payload for event in events if event.method == "turn/plan/updated"]
        steps = [(step.step, step.status.value) for plan in plans for step in plan.plan]
        check("a plan is told", steps == [("look", "inProgress"), ("answer", "pending")], steps)
        last = events[-1].payload.turn
        check("the end has its times", last.status.value == "completed" and last.duration_ms >= 0, last)

        first = thread.turn("slow: 100ms\none two three four five six")
        joined = thread.turn("and seven")
        check("a turn during a turn joins it", joined.id == first.id, (joined.id, first.id))
        results = [first.run(), joined.run()]
        answers = [result.final_response for result in results]
        check("both handles see its end", answers[0] == answers[1] and "and seven" in answers[0], answers)


def command_approvals(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex:
        decider = Decider(codex._client)
        thread = codex.thread_start(cwd=home, sandbox=Sandbox.workspace_write)
        ran = pathlib.Path(home, "ran")

        def run(word: str, decision: object):
            decider.decision = decision
            return thread.run(f"escalate: echo {word} >> {ran}; echo {word}-$((40+2))")

        result = run("yes", "accept")
        [(method, asked)] = decider.take()
        check("a command asks for approval", method == COMMAND_APPROVAL and "echo yes" in asked["command"], asked)
        [item] = of_kind(result, "commandExecution")
        about = (asked["turnId"], asked["itemId"], asked["cwd"])
        check("it says of which turn, item and folder", about == (result.id, item.id, home), asked)
        check("an accepted command runs", (item.status.value, item.exit_code) == ("completed", 0), item)
        check("its output is in the item", item.aggregated_output == "yes-42\n", item.aggregated_output)
        check("and reaches the model", "yes-42" in result.final_response, result.final_response)

        result = run("no", "decline")
        [item] = of_kind(result, "commandExecution")
        check("a declined command is declined", item.status.value == "declined" and len(decider.take()) == 1, item)
        check("and the turn goes on", result.status.value == "completed", result)
        check("the model is told", "rejected" in result.final_response, result.final_response)

        result = run("never", "cancel")
        check("cancel interrupts the turn", result.status.value == "interrupted" and len(decider.take()) == 1, result)

        decider.decision = "acceptForSession"
        for _ in range(2):
            check("a command for the session", thread.run("escalate: echo again").status.value == "completed")
        check("is asked for once", len(decider.take()) == 1)

        result = run("odd", {"nonsense": True})
        [item] = of_kind(result, "commandExecution")
        check("an answer that is none runs nothing", item.status.value == "failed" and len(decider.take()) == 1, item)
        check("only what was accepted ran", ran.read_text() == "yes\n", ran.read_text())

        decider.decision = "accept"
        result = thread.run("escalate: echo quietly", approval_mode=ApprovalMode.deny_all)
        quiet = decider.take() == [] and of_kind(result, "commandExecution") == []
        check("with deny_all nobody is asked, and nothing runs", quiet, result)
        thread.run("now with approvals again", approval_mode=ApprovalMode.auto_review)
        # The SDK answers with an empty object what it does not know.
        result = thread.run("ask: Really? | Yes | No\nthen go on")
        check("a question that the SDK does not know ends well", "then go on" in result.final_response, result)


def file_approvals(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex, tempfile.TemporaryDirectory() as outside:
        decider = Decider(codex._client)
        thread = codex.thread_start(cwd=home, sandbox=Sandbox.read_only)

        def patch(path: pathlib.Path, decision: str):
            decider.decision = decision
            words = ["*** Begin Patch", f"*** Add File: {path}", "+a new line", "*** End Patch"]
            return thread.run("\n".join(words))

        taken, refused, never = (pathlib.Path(outside, name) for name in ("taken", "refused", "never"))
        result = patch(taken, "accept")
        [(method, asked)] = decider.take()
        [item] = of_kind(result, "fileChange")
        check("a patch asks for approval", (method, asked["itemId"]) == (FILE_APPROVAL, item.id), asked)
        changes = [(change.path, change.kind.root.type) for change in item.changes]
        check("the item says what changes", changes == [(str(taken), "add")], item)
        check("an accepted patch is applied", item.status.value == "completed", item)
        check("to the file", taken.read_text() == "a new line\n")

        result = patch(refused, "decline")
        [item] = of_kind(result, "fileChange")
        check("a declined patch changes nothing", item.status.value == "declined" and not refused.exists(), item)
        check("and the turn goes on", result.status.value == "completed" and len(decider.take()) == 1, result)
        result = patch(never, "cancel")
        stopped = result.status.value == "interrupted" and not never.exists()
        check("cancel interrupts the turn of a patch", stopped, result)

        decider.take()
        inside = pathlib.Path(home, "inside")
        words = ["*** Begin Patch", "*** Add File: inside", "+mine", "*** End Patch"]
        handle = thread.turn("\n".join(words), sandbox=Sandbox.workspace_write)
        diffs = [event.payload.diff for event in handle.stream() if event.method == "turn/diff/updated"]
        check("a patch in the workspace asks nobody", inside.read_text() == "mine\n" and decider.take() == [])
        check("the turn's diff is told", bool(diffs) and "+mine" in diffs[-1], diffs)


def steering(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home)
        handle = thread.turn("slow: 200ms\na long answer about ships and their captains, and about the harbours")
        events = handle.stream()
        next(event for event in events if event.method == "item/agentMessage/delta")
        steered = handle.steer("and now about whales")
        check("steer() answers with the turn", steered.turn_id == handle.id, steered)
        done = completed(events)
        words = [item.content[0].root.text for item in done if item.type == "userMessage"]
        check("what was steered is an item of the turn", words == ["and now about whales"], words)
        check("and is answered in the same turn", "about whales" in done[-1].text, done[-1])
        with raises("steering with nothing is refused", InvalidRequestError, "input must not be empty"):
            handle.steer([])


def interrupts(binary: str, home: str) -> None:
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home, sandbox=Sandbox.full_access)

        def interrupted(prompt: str, at: Callable[[object], bool]) -> float:
            """Interrupts the turn at an event, and says how long it took to end."""
            handle = thread.turn(prompt)
            events = handle.stream()
            next(event for event in events if at(event))
            started = time.monotonic()
            handle.interrupt()
            last = list(events)[-1]
            check("its turn ends as interrupted", last.payload.turn.status.value == "interrupted", last)
            return time.monotonic() - started

        took = interrupted("slow: 30s\nnobody waits for this", lambda event: event.method == "turn/started")
        # Far less than the turns would take, and more than a busy machine needs.
        check("a turn is interrupted while its model thinks", took < 10, took)
        took = interrupted("slow: 1s\na b c d e f g", lambda event: event.method == "item/agentMessage/delta")
        check("and while it speaks", took < 10, took)

        pids = pathlib.Path(home, "pids")
        command = f"$ sleep 300 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"
        handle = thread.turn(command)
        until("a command runs", pids.exists)
        alive = [int(word) for word in pids.read_text().split()]
        started = time.monotonic()
        handle.interrupt()
        result = handle.run()
        took = time.monotonic() - started
        check("and while a command runs", result.status.value == "interrupted" and took < PATIENCE_SECONDS, took)
        until("which is dead then, with all that it started", lambda: not any(is_alive(pid) for pid in alive))
        with raises("an ended turn cannot be interrupted", InvalidRequestError, "no active turn"):
            handle.interrupt()
        after = thread.run("are you still there")
        check("the thread goes on afterwards", "still there" in after.final_response, after)


def is_alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


class Report(BaseModel):
    title: str = Field(max_length=20)
    severity: int = Field(ge=1, le=5)
    tags: list[str]
    resolved: bool


def structured(binary: str, home: str) -> None:
    schema = {**Report.model_json_schema(), "additionalProperties": False}
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home)
        result = thread.run("$ echo not-meant\nreport on the lighthouse", output_schema=schema)
        report = Report.model_validate_json(result.final_response)
        check("an answer fits its schema", report.title == "report on the lighth" and 1 <= report.severity <= 5, report)
        kinds = [item.root.type for item in result.items]
        check("and is all that the turn does", kinds == ["userMessage", "agentMessage"], kinds)
        after = thread.run("in plain words")
        check("the next turn has no schema", after.final_response.startswith("This is the offline model"), after)
    answer = json.dumps({"title": "a lamp", "severity": 2, "tags": ["sea"], "resolved": True})
    with mock_model(lambda _: answer) as model, Codex(config(binary, home, model.settings())) as codex:
        result = codex.thread_start(cwd=home).run("report", output_schema=schema)
        report = Report.model_validate_json(result.final_response)
        check("a provider's structured answer arrives", report.tags == ["sea"], report)
        sent = model.asked[0]["text"]["format"]
        check("it was asked for by this schema", (sent["type"], sent["schema"]) == ("json_schema", schema), sent)


def what_the_model_sees(binary: str, home: str) -> None:
    picture = pathlib.Path(home, "picture.png")
    picture.write_bytes(PICTURE)
    answer = lambda body: f"answer {len(body['input'])}"
    with mock_model(answer) as model, Codex(config(binary, home, model.settings())) as codex:
        thread = codex.thread_start(cwd=home, developer_instructions="speak of whales", model="mock-model")
        link = "https://example.com/lamp.png"
        thread.run([TextInput("look at"), LocalImageInput(str(picture)), ImageInput(DATA_URL), ImageInput(link)])
        said = [item for item in model.asked[0]["input"] if item.get("role") == "user"][-1]
        urls = [part["image_url"] for part in said["content"] if part["type"] == "input_image"]
        check("the model sees pictures, local and by URL", urls == [DATA_URL, DATA_URL, link], urls)
        texts = [part["text"] for part in said["content"] if part["type"] == "input_text"]
        check("beside the words", "look at" in texts, texts)
        check("it is told the developer's instructions", "speak of whales" in model.said(0))
        detailed = ReasoningSummary.model_validate("detailed")
        thread.run("think hard", model="other-model", effort=ReasoningEffort.high, summary=detailed)
        sent = model.asked[1]
        check("a turn's model is asked for", sent["model"] == "other-model", sent["model"])
        reasoning = sent.get("reasoning")
        check("with its effort and summary", reasoning == {"effort": "high", "summary": "detailed"}, reasoning)
        thread.run("and again")
        check("which stay the thread's", model.asked[2]["model"] == "other-model", model.asked[2]["model"])

        fork = codex.thread_fork(thread.id)
        fork.run("only in the fork")
        thread.run("only in the original")
        fork_saw, original_saw = model.said(3), model.said(4)
        check("a fork's model sees the past", "look at" in fork_saw and "only in the fork" in fork_saw)
        own = "look at" in original_saw and "only in the fork" not in original_saw
        check("the original's does not see the fork", own, original_saw)

        before = len(model.asked)
        model.answer = lambda _: "the summary of it all"
        thread.compact()
        # It ends by itself, in a turn that the SDK does not tell of.
        until("compact() asks the model", lambda: len(model.asked) > before)
        answer = thread.run("after compact")
        check("the thread goes on after compact()", answer.final_response == "the summary of it all", answer)
        saw = model.said(-1)
        check("with a summary in the place of its past", "the summary of it all" in saw and "answer " not in saw, saw)


def failures(binary: str, home: str) -> None:
    # What an application shows its user.
    texts = {
        "rate_limit": "limit",
        "too_many": "exceeded retry limit, last status: 429 Too Many Requests",
        "usage_limit": "usage limit",
        "quota": "uota",
        "context": "context window",
        "overloaded": "capacity",
        "server_error": "high demand",
        "stream": "stream disconnected before completion",
        "idle": "idle timeout waiting for SSE",
        "max_tokens": "Incomplete response returned, reason: max_output_tokens",
        "unauthorized": "401",
        "forbidden": "403",
        "bad_request": "told to refuse this request",
        "model_not_found": "told not to know the model",
        "connection": "told to be unreachable",
    }
    with Codex(config(binary, home)) as codex:
        thread = codex.thread_start(cwd=home)
        for name, text in texts.items():
            with raises(f"a turn that fails by `{name}` raises", RuntimeError, text):
                thread.run(f"fail: {name}")
        status = thread.read().thread.status.root.type
        check("the thread says that it failed", status == "systemError", status)
        check("and goes on", "still here" in thread.run("still here").final_response)
        check("as it was", thread.read().thread.status.root.type == "idle")
        told = [event.payload for event in thread.turn("fail: stream").stream() if event.method == "error"]
        check("a repetition is told before the end", [error.will_retry for error in told] == [True, False], told)
        with raises("too long a prompt is an InvalidParamsError", InvalidParamsError, "1048576"):
            thread.run("x" * (1 << 20) + "x")

    refusal = {"error": {"message": "the lamp is out", "type": "invalid_request_error"}}
    with mock_model(lambda _: (400, refusal)) as model, Codex(config(binary, home, model.settings())) as codex:
        thread = codex.thread_start(cwd=home)
        with raises("a provider's own words arrive", RuntimeError, "the lamp is out"):
            thread.run("hello")
        model.answer = lambda _: "lit again"
        check("the next turn is answered", thread.run("hello").final_response == "lit again")


def goals(binary: str, home: str) -> None:
    def answer(body: dict) -> Answer:
        # Reached in the goal's second turn.
        asked = len(model.asked)
        return ("update_goal", {"status": "complete"}) if asked == 3 else f"answer {asked}"

    with mock_model(answer) as model, Codex(config(binary, home, model.settings())) as codex:
        client = codex._client
        thread = codex.thread_start(cwd=home)
        thread.run("hello")
        state = client.register_goal_operation(thread.id)
        client.thread_goal_set(thread.id, objective="count the ships", status=ThreadGoalStatus.active)
        check("a goal's first turn begins by itself", state.wait_for_start(PATIENCE_SECONDS) is not None)
        stream = _GoalNotificationStream(
            state,
            lambda: client.next_goal_notification(state),
            lambda: client.unregister_goal_operation(state),
            lambda: client.cancel_goal_operation(state),
        )
        events = list(stream)
        methods = [event.method for event in events]
        check("a goal is one logical turn", (methods[0], methods[-1]) == ("turn/started", "turn/completed"), methods)
        check("which ends when the model says so", state.status == ThreadGoalStatus.complete, state.status)
        ids = {event.payload.turn.id for event in (events[0], events[-1])}
        check("under one id", ids == {state.logical_turn_id}, ids)
        said = [item.text for item in completed(events) if item.type == "agentMessage"]
        check("with what all its turns said", said == ["answer 2", "answer 4"], said)
        check("the model knows the goal", "count the ships" in model.said(1))
        check("the goal can be cleared", client.thread_goal_clear(thread.id).cleared is True)

    with Codex(config(binary, home)) as codex:
        client = codex._client
        thread = codex.thread_start(cwd=home)
        # The offline model keeps to the last words of its user, so the goal's turns are slow as well.
        handle = thread.turn("slow: 1s\nwords")
        handle.interrupt()
        handle.run()
        state = client.register_goal_operation(thread.id)
        client.thread_goal_set(thread.id, objective="wait for ever", status=ThreadGoalStatus.active)
        check("another goal begins", state.wait_for_start(PATIENCE_SECONDS) is not None)
        client.cancel_goal_operation(state)
        until("cancelling it pauses it and ends its turn", state.is_finished)
        ended = (state.status, state.completed_turn.status.value)
        check("it is paused and interrupted", ended == (ThreadGoalStatus.paused, "interrupted"), ended)
        client.unregister_goal_operation(state)
        check("the thread goes on", "after the goal" in thread.run("after the goal").final_response)


async def asynchronous(binary: str, home: str) -> None:
    async with AsyncCodex(config(binary, home)) as codex:
        order: list[str] = []

        async def tell(word: str) -> str:
            thread = await codex.thread_start(cwd=home)
            handle = await thread.turn(f"slow: 30ms\ntell me at some length about {word}")
            text = ""
            async for event in handle.stream():
                if event.method == "item/agentMessage/delta":
                    order.append(word)
                    text += event.payload.delta
            return text

        words = ["rivers", "lakes", "harbours"]
        answers = await asyncio.gather(*map(tell, words))
        own = [word in text for word, text in zip(words, answers)]
        check("three threads stream at once, each its own", all(own), answers)
        first_ends = min(len(order) - order[::-1].index(word) for word in words)
        check("and at the same time", set(order[:first_ends]) == set(words), order)

        decider = Decider(codex._client._sync)
        thread = await codex.thread_start(cwd=home, sandbox=Sandbox.workspace_write)
        result = await thread.run("escalate: echo out-$((1+1))")
        [item] = of_kind(result, "commandExecution")
        check("AsyncCodex: an accepted command runs", item.aggregated_output == "out-2\n", item)
        check("AsyncCodex: after it was asked for", len(decider.take()) == 1)
        decider.decision = "decline"
        [item] = of_kind(await thread.run("escalate: echo out-$((1+1))"), "commandExecution")
        check("AsyncCodex: a declined one does not", item.status.value == "declined", item)

        handle = await thread.turn("slow: 200ms\none two three four five six seven eight nine ten")
        events = handle.stream()
        async for event in events:
            if event.method == "item/agentMessage/delta":
                break
        await handle.steer("about whales instead")
        done = [event.payload.item.root async for event in events if event.method == "item/completed"]
        check("AsyncCodex: steer()", "about whales instead" in done[-1].text, done)

        handle = await thread.turn("slow: 10s\nnobody waits for this")
        await handle.interrupt()
        check("AsyncCodex: interrupt()", (await handle.run()).status.value == "interrupted")
        with raises("AsyncCodex: a failing turn raises", RuntimeError, "usage limit"):
            await thread.run("fail: usage_limit")
        schema = {**Report.model_json_schema(), "additionalProperties": False}
        result = await thread.run("a harbour", output_schema=schema)
        check("AsyncCodex: structured output", Report.model_validate_json(result.final_response).title == "a harbour")
        with raises("AsyncCodex: steering an ended turn is refused", InvalidRequestError, "no active turn"):
            await handle.steer("too late")


def main() -> None:
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    steps = [
        streams,
        command_approvals,
        file_approvals,
        steering,
        interrupts,
        structured,
        what_the_model_sees,
        failures,
        goals,
        lambda binary, home: asyncio.run(asynchronous(binary, home)),
    ]
    chosen = os.environ.get("APP_SERVER_STEP")
    for step in steps:
        if chosen in (None, step.__name__):
            with tempfile.TemporaryDirectory() as home:
                step(binary, os.path.realpath(home))
    print("python SDK, turns: all checks passed")


main()
