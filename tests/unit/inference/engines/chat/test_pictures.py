"""Pictures keep their places in a prompt; nobody else's text makes places."""

import numpy as np

from fastembed.inference.engines.chat.pictures import (
    MOST_FRAMES,
    pictures_of,
    untagged,
    with_places,
    with_tags,
    without_tags,
)
from fastembed.pipeline.payload.chat import ChatRequest, ImagePart, Message, TextPart, VideoPart


def picture(shade):
    return ImagePart(np.full((2, 2, 3), shade, np.uint8))


def test_pictures_are_numbered_in_the_order_of_their_places():
    parts = (TextPart("a "), picture(1), TextPart(" b "), picture(2))
    text = with_tags(f"<user>{with_places(parts)}<end>")
    assert text == "<user>a <ov_genai_image_0> b <ov_genai_image_1><end>"
    assert untagged(text) == "<user>a  b <end>"


def test_pictures_of_all_turns_are_collected():
    turns = (Message("user", (picture(1), TextPart("x"))), Message("assistant"), Message("user", (picture(2),)))
    assert [int(found[0, 0, 0]) for found in pictures_of(ChatRequest(turns))] == [1, 2]


def test_a_video_is_shown_as_a_few_frames_from_its_first_to_its_last():
    frames = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8)
    video = VideoPart(frames, [number / 25 for number in range(100)])
    shown = [int(frame[0, 0, 0]) for frame in pictures_of(ChatRequest((Message("user", (video,)),)))]
    assert len(shown) == MOST_FRAMES
    assert (shown[0], shown[-1]) == (0, 99)
    assert with_tags(with_places((video,))).count("<ov_genai_image_") == MOST_FRAMES
    assert pictures_of(ChatRequest((Message("user", (VideoPart(frames[:0], ()),)),))) == ()


def test_texts_cannot_make_places():
    assert with_tags(with_places((TextPart("a\uf8f0b"),))) == "ab"
    assert without_tags("<ov_genai_image_0> <ov_genai_video_12>") == "< ov_genai_image_0> < ov_genai_video_12>"
