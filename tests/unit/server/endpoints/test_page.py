"""The page's files as they are served."""

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastembed.pipeline.errors import NotFound
from fastembed.server.endpoints import page
from fastembed.server.http.auth import OPEN_PATHS
from fastembed.server.http.page_files import PAGE_FILES

CLIENT = TestClient(Starlette(routes=page.routes(None)))
MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def test_the_page_lets_nothing_run_or_load_but_its_own_files():
    policy = dict(part.strip().split(" ", 1) for part in CLIENT.get("/").headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'", "'self'", "'self'")
    assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", [name for name in PAGE_FILES if name != "index.html"])
def test_every_file_has_its_media_type_and_needs_no_key(name):
    answer = CLIENT.get(f"/page/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA[name.rpartition(".")[2]])
    assert f"/page/{name}" in OPEN_PATHS


def test_a_file_that_has_not_changed_is_not_sent_again():
    first = CLIENT.get("/page/app.js")
    again = CLIENT.get("/page/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert CLIENT.get("/page/app.js", headers={"if-none-match": '"older"'}).status_code == 200


@pytest.mark.parametrize("name", ["index.html", "app.py", "app.js%00", "APP.JS"])
def test_nothing_else_is_served(name):
    with pytest.raises(NotFound, match="expected a file of the page at /"):
        CLIENT.get(f"/page/{name}")


@pytest.mark.parametrize("path", ["/page/..%2Fauth.py", "/page/x/app.js", "/page/"])
def test_there_are_no_folders_below_it(path):
    assert CLIENT.get(path).status_code == 404


def test_what_the_files_refer_to_is_there_and_nothing_is_elsewhere():
    for name, file in PAGE_FILES.items():
        text = file.content.decode()
        assert not re.search(r"https?://|//[a-z]+\.[a-z]+", text.replace("http://www.w3.org/2000/svg", "")), name
        named = {*re.findall(r'"/page/([\w.-]+)"', text), *re.findall(r'from "\./([\w.-]+)"', text)}
        assert named <= set(PAGE_FILES), name


def test_no_file_has_inline_scripts_styles_or_handlers():
    text = PAGE_FILES["index.html"].content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", text)
