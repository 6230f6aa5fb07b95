"""`exiftool` as a second opinion: what it still reads in a cleaned picture has to be structure."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.media import exiftool_films

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not here: make test-tools")

#: About the file on this disk and the program itself.
_OUTSIDE = frozenset({"ExifTool", "System", "SourceFile"})

#: What a picture needs to be shown, group by group; where a value is given, it has to be that one.
_STRUCTURE: dict[str, str] = {
    "File": "BitsPerSample ColorComponents EncodingProcess ExifByteOrder FileType FileTypeExtension ImageHeight "
    "ImageWidth MIMEType YCbCrSubSampling",
    "Composite": "ImageSize Megapixels",
    "JFIF": "JFIFVersion ResolutionUnit XResolution YResolution",
    "Adobe": "APP14Flags0=(none) APP14Flags1=(none) ColorTransform DCTEncodeVersion=100",
    "IFD0": "Orientation",
    "ICC-header": "CMMFlags ColorSpaceData ConnectionSpaceIlluminant DeviceAttributes DeviceManufacturer= DeviceModel= "
    "PrimaryPlatform ProfileCMMType= ProfileClass ProfileConnectionSpace ProfileCreator= ProfileDateTime "
    "ProfileFileSignature=acsp ProfileID=0 ProfileVersion RenderingIntent",
    "ICC_Profile": "RedMatrixColumn GreenMatrixColumn BlueMatrixColumn RedTRC GreenTRC BlueTRC ChromaticAdaptation "
    "MediaWhitePoint ProfileCopyright ProfileDescription",
    "PNG": "AnimationFrames AnimationPlays BitDepth ColorType Compression Filter ImageHeight ImageWidth Interlace "
    "Palette ProfileName Transparency",
    "PNG-pHYs": "PixelUnits PixelsPerUnitX PixelsPerUnitY",
    "RIFF": "AlphaCompression AlphaFiltering AlphaPreprocessing AnimationLoopCount BackgroundColor Duration "
    "HorizontalScale ImageHeight ImageWidth VP8Version VerticalScale WebP_Flags",
    "GIF": "AnimationIterations BackgroundColor BitsPerPixel ColorResolutionDepth Duration FrameCount GIFVersion "
    "HasColorMap ImageHeight ImageWidth TransparentColor",
    "Meta": "MetaImageSize PrimaryItemReference",
    "QuickTime": "AV1ConfigurationVersion AuxiliaryImageType AverageFrameRate BitDepthChroma BitDepthLuma ChromaFormat "
    "ChromaSamplePosition ColorPrimaries ColorProfiles CompatibleBrands ConstantFrameRate ConstraintIndicatorFlags "
    "GenProfileCompatibilityFlags GeneralLevelIDC GeneralProfileIDC GeneralProfileSpace GeneralTierFlag "
    "HEVCConfigurationVersion HandlerType HighBitDepth ImagePixelDepth ImageSpatialExtent InitialDelaySamples "
    "MajorBrand MatrixCoefficients MediaData MediaDataOffset MediaDataSize MinSpatialSegmentationIDC MinorVersion "
    "NumTemporalLayers ParallelismType Rotation SeqLevelIdx0 SeqProfile SeqTier0 TemporalIDNested "
    "TransferCharacteristics TwelveBit",
}
_NEUTRAL = {"ProfileDateTime": "0000:00:00 00:00:00", "ProfileDescription": "Colour profile"} | {
    "ProfileCopyright": "Colour profile",
    "ProfileName": "ICC profile",
    **exiftool_films.NEUTRAL,
}
for _group, _tags in exiftool_films.STRUCTURE.items():
    _STRUCTURE[_group] = f"{_STRUCTURE.get(_group, '')} {_tags}"


def read_tags(folder: Path) -> dict[str, dict[str, str]]:
    """All that exiftool finds in each file of ``folder``, unknown and embedded tags too, as ``Group:Tag``."""
    command = ["exiftool", "-json", "-a", "-G1:4", "-u", "-ee3", str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return {
        Path(found["SourceFile"]).name: {name: str(value) for name, value in found.items()}
        for found in json.loads(said)
    }


def strangers(tags: dict[str, str]) -> list[str]:
    """The tags that are more than structure."""
    return [f"{name} = {value[:60]}" for name, value in tags.items() if not _is_structure(name, value)]


def _is_structure(name: str, value: str) -> bool:
    group, tag = name.split(":", maxsplit=1)[0], name.rsplit(":", maxsplit=1)[-1]
    group = "Track" if group.startswith("Track") else group
    if group in _OUTSIDE:
        return True
    known = dict(entry.partition("=")[::2] for entry in _STRUCTURE.get(group, "").split())
    has_value = f"{tag}=" in _STRUCTURE.get(group, "")
    is_neutral = value.strip() == _NEUTRAL.get(tag, value.strip())
    return tag in known and (not has_value or value in known[tag].split("|")) and is_neutral
