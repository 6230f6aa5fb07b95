"""The advisory locks of the ledger, each by its number; migrations write the numbers out."""

#: The advisory lock that orders commits of intents (shared) and changes of the rules (exclusive).
RULES_LOCK = 471_100_001
#: The advisory lock of whoever migrates.
MIGRATION_LOCK = 471_100_002
#: The advisory lock of whoever makes partitions.
PARTITIONS_LOCK = 471_100_003
#: The advisory lock of the one sequencer of the log.
LOG_LOCK = 471_100_007
#: First of the two keys of a worker's advisory lock; the second is its id.
WORKER_LOCKS = 4711
#: The upper 16 bits of the locks that announce a consent event; the lower 48 are the number before its own.
EVENT_LOCKS = 4712
