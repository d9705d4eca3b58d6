import io

import av
import numpy as np
import pytest

from fastembed.operators.listening.g711 import decode_alaw, decode_ulaw

ALL = bytes(range(256))


@pytest.mark.parametrize(("decode", "codec"), [(decode_ulaw, "mulaw"), (decode_alaw, "alaw")])
def test_every_code_decodes_as_the_reference_decoder_does(decode, codec: str) -> None:
    with av.open(io.BytesIO(ALL * 8), format=codec, options={"sample_rate": "8000"}) as media:
        reference = np.concatenate([frame.to_ndarray()[0] for frame in media.decode(audio=0)])
    assert np.array_equal((decode(ALL * 8) * 32_768).astype(np.int16), reference)


def test_g711_values_of_the_standard() -> None:
    assert decode_ulaw(b"\xff")[0] == 0
    assert decode_ulaw(b"\x80")[0] * 32_768 == 32_124
    assert decode_ulaw(b"\x00")[0] * 32_768 == -32_124
    assert decode_alaw(b"\xd5")[0] * 32_768 == 8
    assert decode_alaw(b"\xaa")[0] * 32_768 == 32_256
