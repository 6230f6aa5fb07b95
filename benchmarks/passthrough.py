"""The pass-through people write by hand: FastAPI in front, a stock ``httpx.AsyncClient`` behind, nothing checked.

It is what our numbers are held against: the bytes go through as they come, with the provider's key put in.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response


@asynccontextmanager
async def _with_client(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=60) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=_with_client)


@app.post("/fal/run/{model:path}")
async def run(model: str, request: Request) -> Response:
    """Send the body on as it is, and the answer back as it is."""
    client: httpx.AsyncClient = request.app.state.client
    reply = await client.post(
        f"{os.environ['UPSTREAM_URL']}/{model}",
        content=await request.body(),
        headers={"authorization": f"Key {os.environ['UPSTREAM_KEY']}", "content-type": "application/json"},
    )
    return Response(reply.content, status_code=reply.status_code, media_type=reply.headers["content-type"])
