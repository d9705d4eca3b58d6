#!/bin/sh
# OpenAI documents the error event of a Responses stream as flat: {"type": "error", "code", "message", "param"}. OpenAI's
# own client for Python hands such an event on like any other: a stream that failed ends without an exception, as if the
# answer were whole. It raises only where the event also has `error` as an object, which the documentation does not name.
# Expected: both are raised. The server sends both forms in one event (docs/wires.md).
# Prints the version and what each form does; fails if the flat one is raised, too.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.57.0
cd "$folder" && venv/bin/python - <<'PY'
import http.server, json, threading, openai

FLAT = {"type": "error", "code": "server_error", "message": "the engine is gone", "param": None, "sequence_number": 0}
BOTH = {**FLAT, "error": {"type": "server_error", "code": "server_error", "message": "the engine is gone", "param": None}}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        event = json.dumps(BOTH if asked["input"] == "both" else FLAT)
        self.wfile.write(f"event: error\ndata: {event}\n\n".encode())

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="-", max_retries=0)

def stream(form):
    try:
        return [event.type for event in client.responses.create(model="m", input=form, stream=True)]
    except openai.APIError as error:
        return f"raised {error}"

flat, both = stream("flat"), stream("both")
print("openai", openai.__version__, "flat:", flat, "with the object:", both)
assert flat == ["error"], "the flat form is raised now: one form is enough"
assert both == "raised the engine is gone"
PY
