"""Pictures and videos as files."""

from ..files.pictures import read_picture
from .errors import MediaError
from .pictures import contact_sheet, enlarge, read_image, to_bytes
from .video import open_writer, read_clip, thinned

__all__ = ["MediaError", "contact_sheet", "enlarge", "open_writer", "read_clip", "read_image", "read_picture", "thinned", "to_bytes"]
