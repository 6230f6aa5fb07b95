"""How fast the door is: this service beside a hand-written pass-through and a bare stub, in one run."""
