"""Pictures, films and sounds: what they are, held for a while, and stripped of all that only says whose they are."""
