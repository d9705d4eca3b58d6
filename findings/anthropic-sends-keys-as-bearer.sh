#!/bin/sh
# Anthropic's API asks for `x-api-key`, and its client for Python is given an `api_key`. Since 2.x it sends that key as
# `Authorization: Bearer`, and no `x-api-key` at all: a server or a proxy that looks only there answers 401 to the
# official client. Expected: `x-api-key`, as the API documents. The server takes both (docs/http.md).
# Prints the version and the headers; fails if `x-api-key` is back.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet anthropic==2.14.0
cd "$folder" && venv/bin/python - <<'PY'
import http.server, json, threading, anthropic

seen = {}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn",
           "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        seen.update({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(MESSAGE).encode())

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{server.server_port}", api_key="KEY", max_retries=0)
client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
print("anthropic", anthropic.__version__, {name: seen.get(name) for name in ("authorization", "x-api-key")})
assert seen.get("authorization") == "Bearer KEY" and "x-api-key" not in seen, "the key is in x-api-key again"
PY
