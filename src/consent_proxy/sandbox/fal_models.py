"""What fal's image models take and answer: the fields they check, the sizes they know, the pictures they make."""

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from consent_proxy.sandbox.pictures import LARGEST_SIDE, MEDIA_TYPE, Picture, size_of_ratio

ERROR_DOCS = "https://docs.fal.ai/errors"

SizeName = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
AspectRatio = Literal["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21"]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]

_SIZES: Mapping[SizeName, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
_OTHER_MEDIA = re.compile(r"video|train|audio|speech|tts|voice|music|lipsync|avatar")


class ImageSize(BaseModel):
    """A size in pixels."""

    width: Side = 512
    height: Side = 512


class TextToImage(BaseModel):
    """The fields the sandbox looks at; a fal model ignores those it does not know."""

    prompt: str
    image_size: ImageSize | SizeName = "square_hd"
    aspect_ratio: AspectRatio | None = None
    num_images: Annotated[int, Field(ge=1, le=4)] = 1
    seed: int | None = None
    output_format: Literal["jpeg", "png", "webp"] = "png"
    sync_mode: bool = False


class ImageToImage(TextToImage):
    """A prompt and one picture."""

    image_url: str


class ImageEdit(TextToImage):
    """A prompt and pictures."""

    image_urls: Annotated[list[str], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model run came to: the HTTP status and body that fal passes on."""

    status: int
    body: dict[str, Any]
    billable_units: int


def input_model(app: str) -> type[TextToImage] | None:
    """What an app takes, by its id; None for apps that make something else than pictures."""
    if _OTHER_MEDIA.search(app):
        return None
    if app.endswith("/edit"):
        return ImageEdit
    if "image-to-image" in app or "upscaler" in app or "kontext" in app:
        return ImageToImage
    return TextToImage


def run_model(model: type[TextToImage], payload: Any, *, fail: bool, publish: Callable[[Picture], str]) -> Answer:
    """Run an app on a JSON input; `publish` turns a picture into its URL."""
    try:
        wanted = model.model_validate(payload)
    except ValidationError as error:
        return _refused(error)
    return _failed(wanted) if fail else _pictures(wanted, publish=publish)


def unreadable(body: bytes) -> Answer:
    """The answer to a body that is no JSON."""
    problem = {
        "type": "json_invalid",
        "loc": ["body", 0],
        "msg": "JSON decode error",
        "input": body.decode("utf-8", "replace"),
        "ctx": {"error": "Expecting value"},
    }
    return Answer(status=422, body={"detail": [problem]}, billable_units=0)


def _refused(error: ValidationError) -> Answer:
    """A model's 422, which echoes what it was given (`input`): for a missing field, that is everything."""
    problems = json.loads(error.json(include_url=False))
    detail = [
        {**problem, "loc": ["body", *problem["loc"]], "url": f"{ERROR_DOCS}/#{problem['type']}"} for problem in problems
    ]
    return Answer(status=422, body={"detail": detail}, billable_units=0)


def _failed(wanted: TextToImage) -> Answer:
    problem = {
        "loc": ["body", "prompt"],
        "msg": "The content checker refused this input.",
        "type": "content_policy_violation",
        "url": f"{ERROR_DOCS}/#content_policy_violation",
        "ctx": {"extra_info": {"reason": "sandbox"}},
        "input": wanted.prompt,
    }
    return Answer(status=422, body={"detail": [problem]}, billable_units=1)


def _pictures(wanted: TextToImage, *, publish: Callable[[Picture], str]) -> Answer:
    seed = secrets.randbelow(2**32) if wanted.seed is None else wanted.seed
    width, height = _size(wanted)
    pictures = [
        Picture(prompt=wanted.prompt, seed=seed, number=number, width=width, height=height)
        for number in range(wanted.num_images)
    ]
    body = {
        "images": [_image(picture, inline=wanted.sync_mode, publish=publish) for picture in pictures],
        "timings": {"inference": 0.1},
        "seed": seed,
        "has_nsfw_concepts": [False] * len(pictures),
        "prompt": wanted.prompt,
    }
    return Answer(status=200, body=body, billable_units=len(pictures))


def _image(picture: Picture, *, inline: bool, publish: Callable[[Picture], str]) -> dict[str, Any]:
    """One image object. It is a PNG, and says so, whatever `output_format` asked for."""
    url = _data_url(picture) if inline else publish(picture)
    return {"url": url, "width": picture.width, "height": picture.height, "content_type": MEDIA_TYPE}


def _data_url(picture: Picture) -> str:
    return f"data:{MEDIA_TYPE};base64,{base64.b64encode(picture.png()).decode()}"


def _size(wanted: TextToImage) -> tuple[int, int]:
    if wanted.aspect_ratio is not None:
        return size_of_ratio(wanted.aspect_ratio)
    if isinstance(wanted.image_size, ImageSize):
        return wanted.image_size.width, wanted.image_size.height
    return _SIZES[wanted.image_size]
