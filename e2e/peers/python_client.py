"""The Python SDK as a peer: reads one JSON question per line, answers with one JSON line.

When the SDK wants a person, the authorization address goes out as `{"authorize": …}` and the callback's parameters come in.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata


def say(message):
    print(json.dumps(message), flush=True)


async def hear():
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


class Storage:
    """Keeps tokens and registration in memory, and tells the test about them."""

    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        say({"access_token": tokens.access_token})

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client
        say({"client_id": client.client_id})


async def redirect(url):
    say({"authorize": url})


async def callback():
    parameters = await hear()
    if "error" in parameters:
        raise RuntimeError(f"the person said no: {parameters['error']}")
    return AuthorizationCodeResult(**{name: parameters.get(name) for name in ("code", "state", "iss")})


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def list_tools(client):
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        tools.extend(dump(tool) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None:
            return tools


async def converse(client):
    say({"result": client.protocol_version})
    while (question := await hear()) is not None:
        try:
            if "list" in question:
                say({"result": await list_tools(client)})
            else:
                say({"result": dump(await client.call_tool(question["call"], question["arguments"]))})
        except MCPError as error:
            say({"error": error.error.message, "code": error.error.code})
        except Exception as error:  # what a host would show its user
            say({"error": f"{type(error).__name__}: {error}"})


async def main(url, redirect_uri, options):
    options = json.loads(options)
    metadata = OAuthClientMetadata(
        client_name="e2e Python",
        redirect_uris=[redirect_uri],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
        scope=options.get("scope"),
    )
    provider = OAuthClientProvider(url, metadata, Storage(), redirect, callback, options.get("clientMetadataUrl"))
    async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            await converse(client)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except BaseException as error:
        say({"error": f"{type(error).__name__}: {error}"})
        raise
