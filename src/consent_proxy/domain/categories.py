"""The closed lists that everything else speaks in: kinds of personal data and what they may be used for."""

from enum import StrEnum


class DataCategory(StrEnum):
    """Kind of personal data a field carries. ``onward`` marks what passes data on; nothing permits it."""

    PHOTO = "photo"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    PROMPT = "prompt"
    TEXT = "text"
    SETTING = "setting"
    ACCOUNT_IDENTIFIER = "account-identifier"
    SESSION_IDENTIFIER = "session-identifier"
    TRAINING_MEDIA = "training-media"
    TRAINING_METADATA = "training-metadata"
    ONWARD = "onward"


#: What a disclosure may name and a person may grant: everything but ``onward``.
GRANTABLE = frozenset(DataCategory) - {DataCategory.ONWARD}


class Purpose(StrEnum):
    """What the data is used for (GDPR Art. 5(1)(b)); the manifest of a model says which one it serves."""

    GENERATION = "generation"
    TRAINING = "training"
