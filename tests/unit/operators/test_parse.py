import os
import subprocess
import sys

from operators.parse import Parse
from pipeline.component import Kind, describe
from pipeline.payload.document import Document, File


def test_it_is_an_operator_from_files_to_documents():
    spec = describe(Parse, "parse")
    assert spec.kind is Kind.ASYNC_MAP
    assert spec.in_type is File
    assert spec.out_type is Document


def test_importing_the_operators_imports_no_parser():
    code = "import sys, operators.parse, operators.chunk; print([m for m in sys.modules if m.split('.')[0] in %r])"
    heavy = ("docling", "docling_core", "pypdfium2", "cv2", "PIL", "openvino", "tokenizers", "lxml")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code % (heavy,)], env=environment, text=True, capture_output=True, check=True
    )
    assert run.stdout.strip() == "[]"
