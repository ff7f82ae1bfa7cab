#!/usr/bin/env python3
"""Talks to `halftone serve` with OpenAI's own client and checks what it gets.

    swift build -c release --product halftone
    pip install openai==3.54.0
    python Scripts/interop/openai-client.py
"""
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import openai

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("HALFTONE", ROOT / ".build/release/halftone"))
KEY = "a key for this run"


def start() -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [PROGRAM, "serve", ROOT / "Resources/models/stories260k", "--port", "0",
         "--chat", "mistral-v1", "--name", "stories"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "HALFTONE_API_KEY": KEY})
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url, "the server did not start"
    return process, url.group()


def expect(condition: bool, what: str) -> None:
    print(("ok    " if condition else "FAIL  ") + what)
    if not condition:
        raise SystemExit(1)


def refused(kind: type, what: str, call) -> None:
    try:
        call()
    except kind as error:
        expect(bool(error.body and error.body.get("message")), f"{what}: {error.status_code}")
    else:
        expect(False, what)


def completions(client: openai.OpenAI) -> None:
    options = dict(model="stories", prompt="Once upon a time", max_tokens=40, temperature=0)
    whole = client.completions.create(**options)
    expect(whole.choices[0].finish_reason == "length", "a completion ends at its limit")
    expect(whole.usage.completion_tokens == 40, "usage counts the tokens")
    expect(whole.choices[0].text.startswith(", there was"), "the text is the model's")
    chunks = list(client.completions.create(
        **options, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    expect(text == whole.choices[0].text, "the stream has the same text")
    expect(chunks[-1].usage == whole.usage, "the stream ends with the usage")
    stopped = client.completions.create(**options | {"stop": ["girl"]})
    expect(whole.choices[0].text.startswith(stopped.choices[0].text), "stop cuts the text")
    expect(stopped.choices[0].finish_reason == "stop", "stop is the reason")
    sampled = options | {"temperature": 1.0, "seed": 3, "top_p": 0.9}
    extra = {"top_k": 40, "min_p": 0.02, "repetition_penalty": 1.1}
    texts = {client.completions.create(**sampled, extra_body=extra).choices[0].text
             for _ in range(2)}
    expect(len(texts) == 1, "the same seed gives the same text")


def chats(client: openai.OpenAI) -> None:
    options = dict(
        model="stories", temperature=0, max_completion_tokens=30,
        messages=[{"role": "system", "content": "Tell a story."},
                  {"role": "user", "content": [{"type": "text", "text": "Once"}]}])
    whole = client.chat.completions.create(**options)
    expect(whole.choices[0].message.role == "assistant", "a chat is answered")
    deltas = [chunk.choices[0].delta for chunk in
              client.chat.completions.create(**options, stream=True)]
    expect(deltas[0].role == "assistant", "the stream begins with the role")
    text = "".join(delta.content or "" for delta in deltas)
    expect(text == whole.choices[0].message.content, "the stream has the same text")


def refusals(client: openai.OpenAI, url: str) -> None:
    refused(openai.AuthenticationError, "a wrong key",
            lambda: openai.OpenAI(base_url=url + "/v1", api_key="x").models.list())
    refused(openai.NotFoundError, "another model",
            lambda: client.completions.create(model="x", prompt="a"))
    refused(openai.BadRequestError, "a temperature below 0",
            lambda: client.completions.create(model="stories", prompt="a", temperature=-1))
    refused(openai.BadRequestError, "two answers",
            lambda: client.completions.create(model="stories", prompt="a", n=2))
    refused(openai.BadRequestError, "a prompt that is too long",
            lambda: client.completions.create(model="stories", prompt="word " * 2000))


async def together(url: str) -> None:
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key=KEY)
    prompts = ["Once upon a time", "The dog", "Lily", "Tom saw a big", "One day"] * 3

    async def one(prompt: str) -> str:
        stream = await client.completions.create(
            model="stories", prompt=prompt, max_tokens=60, temperature=0, stream=True)
        return "".join([chunk.choices[0].text async for chunk in stream])

    alone = {prompt: await one(prompt) for prompt in set(prompts)}
    texts = await asyncio.gather(*(one(prompt) for prompt in prompts))
    expect(texts == [alone[prompt] for prompt in prompts], "15 streams at once are not mixed up")
    await client.close()


def main() -> None:
    process, url = start()
    try:
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        expect([model.id for model in client.models.list()] == ["stories"], "the list of models")
        expect(client.models.retrieve("stories").id == "stories", "one model")
        completions(client)
        chats(client)
        refusals(client, url)
        asyncio.run(together(url))
    finally:
        process.terminate()
        status = process.wait(timeout=60)
    expect(status == 0, "SIGTERM ends the server with status 0")


if __name__ == "__main__":
    sys.exit(main())
