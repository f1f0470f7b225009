"""A FastAPI application; each site of the corpus adds its own lines."""
import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def home():
    return {"shop": "open"}


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/healthz/")
async def with_slash():
    return {"status": "ok"}


@app.get("/search")
async def search(query: str):
    return {"query": query}


@app.get("/broken")
async def broken():
    return 100 / 0


@app.get("/slow")
async def slow(seconds: float):
    await asyncio.sleep(seconds)
    return {"status": "ok"}
