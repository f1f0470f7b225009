"""An ASGI app with a WebSocket at /ws/, as Django Channels would serve it:
browsers may come from https://mysite.com alone, and echoes are sent back."""


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    headers = dict(scope["headers"])
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200 if scope["path"] == "/" else 404, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})
        return
    await receive()
    proto = headers.get(b"x-forwarded-proto", b"")
    if scope["path"] != "/ws/" or headers.get(b"origin") != b"https://mysite.com" or proto != b"https" or headers.get(b"host") != b"mysite.com":
        await send({"type": "websocket.close", "code": 4403})
        return
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": "chat.v2" if "chat.v2" in offered else None})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            print("disconnect", event.get("code"), flush=True)
            return
        text = event.get("text") or ""
        if text == "crash":
            raise RuntimeError("crash")
        if text == "leave":
            await send({"type": "websocket.close", "code": 1013})
            return
        await send({"type": "websocket.send", "text": "echo " + text})
