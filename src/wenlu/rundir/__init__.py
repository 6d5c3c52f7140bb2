"""The run directory: settings, events, checkpoints, provenance."""

from wenlu.rundir.events import Event
from wenlu.rundir.provenance import provenance
from wenlu.rundir.run import Follower, Run, is_run

__all__ = ["Event", "Follower", "Run", "is_run", "provenance"]
