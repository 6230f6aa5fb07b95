"""What exiftool says of a cleaned film, sound or archive that is only how it is built."""

STRUCTURE: dict[str, str] = {
    "Composite": "AudioBitrate AvgBitrate Duration Rotation",
    "MPEG": "AudioBitrate AudioLayer ChannelMode CopyrightFlag=False Emphasis Encoder=LAME|Lavf IntensityStereo "
    "MPEGAudioVersion MSStereo OriginalMedia=False SampleRate VBRBytes VBRFrames VBRScale",
    "QuickTime": "CreateDate CurrentTime Duration MatrixStructure ModifyDate MovieFragmentSequence MovieHeaderVersion "
    "NextTrackID PosterTime PreferredRate PreferredVolume PreviewDuration PreviewTime SelectionDuration SelectionTime "
    "TimeScale Unknown_mvex Unknown_tfdt Unknown_tfhd Unknown_trun",
    "Track": "AVCConfiguration AudioBitsPerSample AudioChannels AudioCodecID AudioFormat AudioSampleRate "
    "AverageBitrate Balance BitDepth BufferSize ChunkOffset CodecID CodecPrivate ColorPrimaries ColorProfiles "
    "CompositionTimeToSample CompressorID Endianness GraphicsMode HandlerType ImageHeight ImageWidth LayoutFlags "
    "MatrixCoefficients MatrixStructure Matroska_0x13c0 Matroska_0x15b0 Matroska_0x16aa Matroska_0x16bb "
    "MaxBitrate MediaCreateDate MediaDuration MediaHeaderVersion MediaLanguageCode=und MediaModifyDate "
    "MediaTimeScale OpColor PixelAspectRatio PurchaseFileFormat SampleGroupDescription SampleSizes SampleToChunk "
    "SampleToGroup SourceImageHeight SourceImageWidth SyncSampleTable TimeToSampleTable TrackCreateDate "
    "TrackDefault TrackDuration TrackHeaderVersion TrackID TrackLacing TrackLanguage=und TrackLayer "
    "TrackModifyDate TrackNumber TrackType TrackUID TrackVolume TransferCharacteristics Unknown_alac Unknown_av1C "
    "Unknown_btrt Unknown_dOps Unknown_dac3 Unknown_dfLa Unknown_edts Unknown_esds Unknown_hvcC Unknown_mp4a "
    "Unknown_vpcC VideoCodecID VideoFieldOrder VideoFrameRate VideoScanType XResolution YResolution",
    "Matroska": "CueClusterPosition CueTime CueTrack DocType=webm DocTypeReadVersion DocTypeVersion Duration "
    "EBMLMaxIDLength EBMLMaxSizeLength EBMLReadVersion EBMLVersion Matroska_0x0070 MuxingApp SeekID SeekPosition "
    "TimecodeScale WritingApp",
    "RIFF": "AvgBytesPerSec BitsPerSample Encoding NumChannels NumberOfSamples SampleRate",
    "ZIP": "ZipBitFlag ZipCRC ZipCompressedSize ZipCompression ZipFileName ZipModifyDate ZipRequiredVersion "
    "ZipUncompressedSize",
}

_NO_DATE = "0000:00:00 00:00:00"
#: The one value that a tag may have.
NEUTRAL = {
    **dict.fromkeys(("CreateDate", "ModifyDate", "MediaCreateDate", "MediaModifyDate"), _NO_DATE),
    **dict.fromkeys(("TrackCreateDate", "TrackModifyDate"), _NO_DATE),
    **dict.fromkeys(("MuxingApp", "WritingApp"), ""),
    "ZipModifyDate": "1980:01:01 00:00:00",
}
