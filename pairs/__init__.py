"""Training pairs: the same face before and after a motion of known strength, by the thousand."""

from .adding import add_face
from .engine import Summary, make
from .errors import PairsError
from .gates import Gate, Instrument
from .job import Job
from .layouts import LAYOUTS
from .plan import MotionPlan, Plan, Variant

__all__ = ["LAYOUTS", "Gate", "Instrument", "Job", "MotionPlan", "PairsError", "Plan", "Summary", "Variant", "add_face", "make"]
