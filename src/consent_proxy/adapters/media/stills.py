"""The strippers of pictures that stand still, or move without sound: one a format."""

from collections.abc import Mapping

from consent_proxy.adapters.media.kinds import MediaFormat
from consent_proxy.adapters.media.pieces import Strip

STILL_STRIPPERS: Mapping[MediaFormat, Strip] = {}
