"""What the name of a field says of the data in it, where a schema says no more than `string`.

The names are those that fal's and Replicate's public schemas use. A name that is not known here says nothing: what is
left is for a person to place.
"""

import re
from enum import Enum

from consent_proxy.domain.categories import DataCategory

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Meaning(Enum):
    """What a name stands for, beyond a category of data."""

    ONWARD = "passes data onward"
    PERSONAL = "a trait of a person"
    DISCLOSING = "may keep the data, or open it to others"


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{words})(?:_|$)")


#: Callbacks, other services' credentials and stores, and tools by which a model reaches further.
_ONWARD = _any_of(
    r"callbacks?|call_back|webhooks?|notify|notification|wandb|hub|bucket|s3|aws|gcs|azure|supabase|civitai|"
    r"hf_repo|repo_id|api_?keys?|access_?keys?|secrets?|password|passwd|credentials?|authorization|bearer|"
    r"search|web|internet|online|external|browse|browsing|grounding|tools?|mcp|plugins?|connectors?|"
    r"upload_(?:to|url)|output_(?:url|path|prefix|bucket)|push_to"
)
_TOKEN = re.compile(r"(?:^|_)(?:access|auth|api|read|write|refresh|session|hf)?_?token$")
_TRIGGER = _any_of(r"trigger|token_string|placeholder_token|class_prompt|instance_prompt|mask_target_prompts")
_CAPTION = _any_of(r"captions?|autocaption")
_PERSONAL = _any_of(
    r"gender|sex|age|ages|birth|birthday|dob|ethnicity|ethnic|race|nationality|religion|skin|disability|health|height_cm|"
    r"weight_kg|measurements|body_type|email|e_?mail|phone|telephone|address|postcode|zip_?code|city|country|location|"
    r"latitude|longitude|lat|lng|first_name|last_name|full_name|nickname|username"
)
_DISCLOSING = _any_of(
    r"public|publish|share|shared|visibility|gallery|store|stored|retain|retention|log|logs|logging|telemetry|analytics|"
    r"tracking|metadata|debug|feedback|opt_in|opt_out|for_training|allow_training|consent"
)
_ACCOUNT = re.compile(r"^(?:end_)?user(?:_?id)?$|^uid$|^customer_id$|^account_id$|^safety_identifier$")
_SESSION = re.compile(r"^session(?:_?id)?$|^conversation_id$")
_MADE = _any_of(
    r"ids?|uids?|uuids?|voices?|avatars?|characters?|speakers?|identity|embeddings?|checkpoint|finetunes?|profiles?"
)
_WEIGHTS = _any_of(r"loras?|weights|checkpoints?|lora_urls?|lora_path")
_WEIGHTS_HOLDERS = _any_of(r"loras?|embeddings|controlnets?|easycontrols?|ip_adapters?")
_ADDRESS = _any_of(r"urls?|uris?|links?|paths?|files?|href|src")
_TRAINING = _any_of(r"data|dataset|zip|archive|training|train|instance|images_data|input_images|input_videos")
_PROMPT = _any_of(r"prompts?|instructions?")
_TEXT = _any_of(r"texts?|lyrics|script|transcript|description|title|message|story|dialogue|captions?")

#: What may follow the word for the medium, as in `reference_image_urls` or `swap_image_b`.
_AFTER_MEDIA = re.compile(r"urls?|uris?|data|paths?|files?|links?|input|base64|b64|[0-9]+|[a-z]")
_MEDIA = {
    DataCategory.PHOTO: _any_of("images?|imgs?|photos?|pictures?|masks?|faces?|selfie|portrait|garment|frame"),
    DataCategory.VIDEO: _any_of("videos?|clips?|movie"),
    DataCategory.AUDIO: _any_of("audios?|songs?|music|sound|vocals"),
    DataCategory.VOICE: _any_of("voices?|speaker|speech"),
}


def plain(name: str) -> str:
    """A name in small letters, its words joined by underscores: ``imageURL`` is ``image_url``."""
    return "_".join(word.lower() for word in _WORD.findall(name))


def meaning_of(name: str, *, text: bool) -> Meaning | None:
    """What a name stands for whatever the value looks like; ``text``: whether a value can be free text."""
    if _ONWARD.search(name) or (text and _TOKEN.search(name) and not _TRIGGER.search(name)):
        return Meaning.ONWARD
    if _PERSONAL.search(name):
        return Meaning.PERSONAL
    return Meaning.DISCLOSING if _DISCLOSING.search(name) else None


def identifier_of(name: str) -> DataCategory | None:
    """Whose identifier a name asks for: the account's, the session's, or none that is known."""
    if _ACCOUNT.search(name):
        return DataCategory.ACCOUNT_IDENTIFIER
    return DataCategory.SESSION_IDENTIFIER if _SESSION.search(name) else None


def media_of(name: str) -> DataCategory | None:
    """The kind of media a name ends in; a voice wherever one is named, for it tells a person from all others."""
    if _MEDIA[DataCategory.VOICE].search(name):
        return DataCategory.VOICE
    words = name.split("_")
    while len(words) > 1 and _AFTER_MEDIA.fullmatch(words[-1]):
        words.pop()
    return next((kind for kind, pattern in _MEDIA.items() if pattern.search(words[-1])), None)


def is_address(name: str) -> bool:
    """Whether a name says that its value leads to data somewhere else."""
    return _ADDRESS.search(name) is not None


def is_weights(name: str, *, holder: str) -> bool:
    """Whether a name, or the array it lies in, speaks of weights."""
    return _WEIGHTS.search(name) is not None or (
        name in {"path", "url"} and _WEIGHTS_HOLDERS.search(holder) is not None
    )


def is_training(name: str) -> bool:
    """Whether a name speaks of a collection to train on."""
    return _TRAINING.search(name) is not None


def is_made_of_a_person(name: str) -> bool:
    """Whether a name may name a voice, an avatar or another thing made of somebody."""
    return _MADE.search(name) is not None


def words_of(name: str, *, training: bool) -> DataCategory | None:
    """The kind of free text a name speaks of, in a training or elsewhere."""
    if _TRIGGER.search(name) or (training and _CAPTION.search(name)):
        return DataCategory.TRAINING_METADATA
    if _PROMPT.search(name):
        return DataCategory.PROMPT
    return DataCategory.TEXT if _TEXT.search(name) else None
