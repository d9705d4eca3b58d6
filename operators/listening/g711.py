"""Telephone audio: ITU-T G.711, one byte a sample at 8 kHz, coded through tables that its formulas make."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


def decode_ulaw(data: bytes) -> NDArray[np.float32]:
    """Return float32 [n], -1 to 1, of mu-law bytes (audio/pcmu)."""
    return _ULAW[np.frombuffer(data, np.uint8)]


def decode_alaw(data: bytes) -> NDArray[np.float32]:
    """Return float32 [n], -1 to 1, of A-law bytes (audio/pcma)."""
    return _ALAW[np.frombuffer(data, np.uint8)]


def encode_ulaw(samples: NDArray[np.float32]) -> bytes:
    """Return mu-law bytes of float32 [n]: of each sample the nearest value that there is."""
    return _nearest(samples, _ULAW)


def encode_alaw(samples: NDArray[np.float32]) -> bytes:
    """Return A-law bytes of float32 [n]: of each sample the nearest value that there is."""
    return _nearest(samples, _ALAW)


def _nearest(samples: NDArray[np.float32], table: NDArray[np.float32]) -> bytes:
    order = np.argsort(table)
    values = table[order]
    return order[np.searchsorted((values[1:] + values[:-1]) / 2, samples)].astype(np.uint8).tobytes()


def _ulaw_value(code: int) -> int:
    """Return the 16-bit value: bits are sent inverted; sign, 3 bits of exponent, 4 of mantissa, bias 33 (times 4)."""
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 0x07)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw_value(code: int) -> int:
    """Return the 16-bit value: even bits are sent inverted, and the sign bit is 1 for positive samples."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 0x07, code & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


_ULAW: Final = np.array([_ulaw_value(code) for code in range(256)], np.float32) / np.float32(32_768)
_ALAW: Final = np.array([_alaw_value(code) for code in range(256)], np.float32) / np.float32(32_768)
