"""An MCP server made with the `mcp` package, over its standard streams or streamable HTTP on a port."""

import sys

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import ToolAnnotations
from pydantic import BaseModel

transport, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
server = FastMCP("real", port=port)
reads = ToolAnnotations(readOnlyHint=True)


class Name(BaseModel):
    name: str


@server.tool(annotations=reads)
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def write(text: str) -> str:
    """Says that it wrote."""
    return "wrote " + text


@server.tool(annotations=reads)
async def steps(ctx: Context) -> str:
    """Tells how far it is."""
    await ctx.report_progress(1, 2, "half")
    await ctx.info("a line of its log")
    return "all"


@server.tool(annotations=reads)
async def greet(ctx: Context) -> str:
    """Asks for a name."""
    answer = await ctx.elicit("Who are you?", Name)
    return f"hello {answer.data.name}" if answer.action == "accept" else answer.action


@server.resource("real://note")
def note() -> str:
    return "the note"


server.run(transport=transport)
