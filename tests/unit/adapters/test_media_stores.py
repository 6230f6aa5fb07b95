"""Which store a setting names."""

from pathlib import Path

import pytest

from consent_proxy.adapters.media.stores import BucketStore, FolderStore, open_media_store
from consent_proxy.settings import MediaSettings


def test_a_setting_names_a_folder_or_a_bucket(tmp_path: Path) -> None:
    assert isinstance(open_media_store(None, default=tmp_path), FolderStore)
    assert isinstance(open_media_store(f"file:{tmp_path}/held", default=tmp_path), FolderStore)
    assert isinstance(open_media_store(f"file://{tmp_path}/held", default=tmp_path), FolderStore)
    assert isinstance(open_media_store("s3://bucket/held/media", default=tmp_path), BucketStore)
    assert isinstance(open_media_store("s3://bucket", default=tmp_path), BucketStore)


@pytest.mark.parametrize("setting", ["held", "file:held", "file://host/held", "s3:///held", "gs://bucket", "s3:bucket"])
def test_every_other_setting_is_an_error_that_says_what_to_write(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ValueError, match="has to be"):
        open_media_store(setting, default=tmp_path)


@pytest.mark.parametrize("setting", ["held", "file:held", "gs://bucket", "s3:///held", "s3://b/?x=1"])
def test_it_is_refused_when_settings_are_read(setting: str) -> None:
    with pytest.raises(ValueError, match="store"):
        MediaSettings(store=setting)
