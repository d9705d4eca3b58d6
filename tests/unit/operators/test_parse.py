import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastembed.inference.serving.models import Models
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.document import Document, DocumentRequest, File
from fastembed.pipeline.spec import describe


def test_it_is_an_operator_from_files_to_documents():
    spec = describe(Parse, "parse")
    assert spec.kind is OperatorKind.ASYNC_MAP
    assert spec.in_type == File | DocumentRequest
    assert spec.out_type is Document


async def test_a_model_without_files_is_refused_with_the_command_that_gets_them():
    parse = Parse(model="granite-docling-258m")
    with pytest.raises(ModelNotFound, match="fastembed convert granite-docling-258m"):
        await parse.open(Context("papers", "parse", "d", Path(), resources=Resources(Models())))


async def test_a_model_of_another_kind_is_refused():
    parse = Parse(model="all-MiniLM-L6-v2")
    with pytest.raises(ModelNotFound, match="a model for embedding, expected one for document"):
        await parse.open(Context("papers", "parse", "d", Path(), resources=Resources(Models())))


def test_importing_the_operators_imports_no_parser():
    code = (
        "import sys, fastembed.operators.parse, fastembed.operators.chunk; "
        "print([m for m in sys.modules if m.split('.')[0] in %r])"
    )
    heavy = ("docling", "docling_core", "pypdfium2", "cv2", "PIL", "openvino", "tokenizers", "lxml")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code % (heavy,)], env=environment, text=True, capture_output=True, check=True
    )
    assert run.stdout.strip() == "[]"
