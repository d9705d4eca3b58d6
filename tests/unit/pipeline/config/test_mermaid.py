from __future__ import annotations

from collections.abc import Callable

from fastembed.pipeline.config.mermaid import mermaid
from fastembed.pipeline.plan import Configuration

Read = Callable[..., Configuration]


def test_a_pipeline_is_drawn_with_its_branches(read: Read):
    text = """pipelines:
  p:
    source: {http: POST /x, overflow: reject}
    operators:
      - analyze:
        id: look
        workers: 2
        if: key != "<x>"
      - route:
          - if: value.n > 1
            sink: {folder: out}
          - else: [transcribe]
      - fork: {a: [analyze], b: [], join: all}
    sink: reply
    on_error: {folder: failed}
"""
    assert (
        mermaid(read(text).pipelines["p"])
        == """\
flowchart LR
  subgraph pipeline ["p: at most once, unordered"]
  n1(["http<br>queue 64 items, reject"])
  n2["look (analyze)<br>if key != #quot;#lt;x#gt;#quot;<br>workers 2"]
  n1 --> n2
  n3{"route"}
  n2 --> n3
  n4[("folder")]
  n3 -- "value.n #gt; 1" --> n4
  n5["transcribe"]
  n3 -- "else" --> n5
  n6{"fork"}
  n5 --> n6
  n7["analyze"]
  n6 -- "a" --> n7
  n8{"join"}
  n7 --> n8
  n6 -- "b" --> n8
  n9[("reply")]
  n8 --> n9
  n10[("on_error (folder)")]
  n1 -. "on error" .-> n10
  end
"""
    )


def test_an_option_never_shows(read: Read):
    text = 'pipelines: {p: {source: {http: x}, operators: [{embed: {token: "${API_TOKEN}"}}], sink: reply}}'
    assert "abcdef" not in mermaid(read(text, API_TOKEN="abcdef").pipelines["p"])  # noqa: S106 - what a test calls a secret
