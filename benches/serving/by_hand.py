"""What people write by hand: an endpoint of FastAPI that passes on what the openai SDK streams."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

# Without a limit, so that all streams run at the same time.
unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
client = AsyncOpenAI(
    base_url=os.environ["UPSTREAM"], api_key="sk", max_retries=0, http_client=httpx.AsyncClient(limits=unlimited)
)
app = FastAPI()


@app.post("/v1/chat/completions")  # type: ignore[untyped-decorator]  # it is installed for the server only
async def chat(body: dict[str, Any]) -> StreamingResponse:
    """Passes a request on."""

    async def events() -> AsyncIterator[str]:
        stream = await client.chat.completions.create(model=body["model"], messages=body["messages"], stream=True)
        async for chunk in stream:
            yield f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n"
        yield f"data: {json.dumps('[DONE]')}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
