"""Pictures and videos as files."""

from ..files.pictures import read_picture
from .clips import Clip, open_clip, read_clip, thinned
from .errors import MediaError
from .pictures import contact_sheet, enlarge, read_image, to_bytes
from .video import open_writer

__all__ = [
    "Clip",
    "MediaError",
    "contact_sheet",
    "enlarge",
    "open_clip",
    "open_writer",
    "read_clip",
    "read_image",
    "read_picture",
    "thinned",
    "to_bytes",
]
