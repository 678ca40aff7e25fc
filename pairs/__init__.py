"""Training pairs: the same face before and after a motion of known strength, by the thousand."""

from .adding import Added, add_face
from .engine import Summary, make
from .errors import PairsError
from .gates import Gate, Instrument
from .job import Job
from .landmarks import LandmarkInstrument
from .layouts import LAYOUTS
from .plan import MotionPlan, Plan, Variant, plain_name
from .repeats import repeated_codes, repeated_photos

__all__ = [
    "LAYOUTS",
    "Added",
    "Gate",
    "Instrument",
    "Job",
    "LandmarkInstrument",
    "MotionPlan",
    "PairsError",
    "Plan",
    "Summary",
    "Variant",
    "add_face",
    "make",
    "plain_name",
    "repeated_codes",
    "repeated_photos",
]
