"""The files that are checked, an export of the log or the evidence of one transfer, and the command that does it."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from consent_proxy.adapters.verifier.leaves import Row, canonical, commitment, leaf_hash, parse
from consent_proxy.adapters.verifier.promises import Promises, moment
from consent_proxy.adapters.verifier.proofs import Checkpoint, Tree, Wrong, root_with, roots_with

#: A row that is so young when the export is made may not have its place in the log yet.
YOUNG = timedelta(minutes=1)
MOST_FINDINGS = 20


@dataclass
class Asked:
    """What whoever checks brings along: keys they trust, checkpoints they kept, the proof that leads on from one."""

    keys: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    consistency: list[bytes] | None = None
    subject_ref: str | None = None


@dataclass
class Report:
    """What does not hold, the first in the log first, and what was looked at."""

    findings: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Unreadable(Exception):
    """A file that cannot be checked at all."""


class Export:
    """An export of the whole log, read line by line; remembered is what stands for whom, and which transfers were."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.report = asked, Report()
        self.tree, self.promises = Tree(), Promises()
        self.keys: list[str] = asked.keys
        self.kept: dict[int, Checkpoint] = {}
        self.sealed = self.checkpoints = self.unopened = 0
        self.sent: list[int] = []
        self.made_at = datetime(9999, 1, 1, tzinfo=UTC)
        self.ended = False

    def read(self, lines: Iterable[str]) -> Report:
        """Check every line. After a break in the log itself nothing that follows has a known place: it stops there."""
        readers = {
            "log": self._head,
            "row": self._row,
            "checkpoint": self._checkpoint,
            "outside": self._outside,
            "end": self._end,
        }
        try:
            for line in lines:
                entry = parse(line)
                readers[entry["type"]](entry)
            self._compare_sizes()
        except Wrong as wrong:
            self.report.findings.append(str(wrong))
        self._tell()
        return self.report

    def _head(self, head: Row) -> None:
        self.made_at = moment(head["made_at"])
        self.keys = self.asked.keys or head["keys"]
        self.kept = {found.size: found for found in (Checkpoint.read(note, self.keys) for note in self.asked.kept)}
        self._compare_roots()

    def _row(self, entry: Row) -> None:
        index, kind, record = entry["index"], entry["kind"], entry["record"]
        name = f"row {index} ({kind} {entry['id']})"
        if index != self.tree.size:
            raise Wrong(f"row {self.tree.size} is missing: the next one is {name}")
        leaf = bytes.fromhex(entry["leaf"])
        self.tree.add(leaf)
        opened = None if record is None or entry["salt"] is None else bytes.fromhex(entry["salt"])
        if record is None:
            self.report.findings.append(f"{name} was removed: the log has its leaf")
        elif opened is None:
            self.unopened += 1
        elif leaf_hash(commitment(kind, record, salt=opened)) != leaf:
            self.report.findings.append(f"{name} was altered: it is not what its leaf commits to")
            opened = None
        if opened is not None:
            self._hold(name, kind, record, index)
        elif kind == "intent":
            self.promises.transfers.add(entry["id"])
        self._compare_roots()

    def _hold(self, name: str, kind: str, record: Row, index: int) -> None:
        if kind == "intent" and record["subject_ref"] == self.asked.subject_ref and index >= min(self.kept, default=0):
            self.sent.append(index)
        try:
            self.promises.take(kind, record)
        except Wrong as wrong:
            self.report.findings.append(f"{name}: {wrong}")

    def _checkpoint(self, entry: Row) -> None:
        found = Checkpoint.read(entry["note"], self.keys)
        if any(kept.origin != found.origin for kept in self.kept.values()):
            raise Wrong(f"the checkpoint you kept is of another log than {found.origin}")
        if found.size > self.tree.size:
            raise Wrong(f"row {self.tree.size} is missing: the next checkpoint is of {found.size} rows")
        if found.size < self.tree.size or found.root != self.tree.root():
            raise Wrong(
                f"row {self.sealed} to {self.tree.size - 1}: these are not the rows that were sealed at {found.size};"
                " one of them was altered, moved, put in or taken out"
            )
        self.sealed, self.checkpoints = found.size, self.checkpoints + 1

    def _compare_roots(self) -> None:
        kept = self.kept.get(self.tree.size)
        if kept is not None and kept.root != self.tree.root():
            first = max((size for size in self.kept if size < self.tree.size), default=0)
            raise Wrong(
                f"row {first} to {self.tree.size - 1}: these are not the rows of the checkpoint that you kept;"
                " what was sealed has been rewritten"
            )

    def _outside(self, entry: Row) -> None:
        if self.made_at - moment(entry["at"]) > YOUNG:
            self.report.findings.append(f"{entry['kind']} {entry['id']} is in the record and has no place in the log")

    def _end(self, entry: Row) -> None:
        self.ended = True
        if entry["rows"] != self.tree.size:
            raise Wrong(f"row {self.tree.size} is missing: the export ends with row {entry['rows'] - 1}")
        if self.sealed != self.tree.size:
            raise Wrong(f"row {self.sealed} to {self.tree.size - 1}: no checkpoint seals them")

    def _compare_sizes(self) -> None:
        if not self.ended:
            raise Wrong("the export breaks off before its end: make it again")
        longest = max(self.kept, default=0)
        if longest > self.tree.size:
            raise Wrong(
                f"row {self.tree.size} is missing: the checkpoint you kept is of {longest} rows, and the log ends here;"
                " rows were taken away, or an older backup was put back"
            )

    def _tell(self) -> None:
        told = self.report.told
        told.append(f"{self.tree.size} rows under {self.checkpoints} checkpoints")
        told.append(", ".join(f"{count} {what}" for what, count in self.promises.counts.items()))
        told += [f"consistent with the checkpoint of size {size} that you kept" for size in sorted(self.kept)]
        if self.unopened:
            told.append(f"{self.unopened} rows cannot be opened: the salts of their subjects were erased")
        if self.asked.subject_ref is not None:
            first = min(self.kept, default=0)
            where = f"row {first} to {self.tree.size - 1}" if self.tree.size > first else "no row"
            what = f"something was sent (row {', '.join(map(str, self.sent))})" if self.sent else "nothing was sent"
            told.append(f"in {where}, {what} of subject {self.asked.subject_ref}")
        if not self.asked.keys:
            told.append(
                "signatures were held against the keys in the export itself: give --key to name those you trust"
            )


def check_evidence(bundle: Row, asked: Asked) -> Report:
    """Check the evidence of one transfer: every row of it is in the log, and they fit each other."""
    report, promises = Report(), Promises()
    try:
        sealed = Checkpoint.read(bundle["checkpoint"], asked.keys or bundle["keys"])
        for note in asked.kept:
            _lead_on(Checkpoint.read(note, asked.keys or bundle["keys"]), sealed, asked.consistency)
    except Wrong as wrong:
        return Report([str(wrong)])
    rows = sorted(bundle["rows"], key=lambda row: row["index"])
    # The events in between are not in it: of the consent it says that it was given, not what came after.
    promises.joined.update(row["record"]["subject_ref"] for row in rows if row["kind"] == "intent" and row["record"])
    for row in rows:
        name = f"row {row['index']} ({row['kind']} {row['id']})"
        try:
            _in_place(row, sealed)
            promises.take(row["kind"], row["record"])
            if row["kind"] == "consent" and bundle["shown"] is not None:
                _same_text(bundle["shown"], row["record"])
        except Wrong as wrong:
            report.findings.append(f"{name}: {wrong}")
    report.findings += _unfounded(bundle, {row["kind"]: row["record"] for row in rows if row["record"] is not None})
    report.told = [f"{row['kind']} {row['id']} is row {row['index']} of {sealed.size}" for row in rows]
    if not asked.keys:
        report.told.append(
            "the signature was held against the key in the file itself: give --key to name one you trust"
        )
    return report


def _in_place(row: Row, sealed: Checkpoint) -> None:
    if row["record"] is None or row["salt"] is None:
        raise Wrong("it cannot be opened: it was removed, or the salt of its subject erased")
    leaf = leaf_hash(commitment(row["kind"], row["record"], salt=bytes.fromhex(row["salt"])))
    proof = [bytes.fromhex(part) for part in row["proof"]]
    if root_with(leaf, index=row["index"], size=sealed.size, proof=proof) != sealed.root:
        raise Wrong("it is not what the log holds in that place")


def _unfounded(bundle: Row, records: dict[str, Row]) -> Iterator[str]:
    """What the evidence says beside its rows, and its rows do not say."""
    told = records.get("intent") or records.get("refusal")
    if told is None or told["id"] != bundle["transfer"]:
        yield f"the evidence has no row of {bundle['transfer']}"
        return
    said = {**told["details"], **told, "decision": "permit" if "intent" in records else "refusal"}
    if any(said.get(name) != value for name, value in bundle["decision"].items()):
        yield "the decision in the evidence is not the one in its row"
    if bundle["shown"] is not None and "consent" not in records:
        yield "the evidence has a text, and no consent that was given to it"


def _lead_on(kept: Checkpoint, sealed: Checkpoint, proof: list[bytes] | None) -> None:
    first, second = sorted((kept, sealed), key=lambda checkpoint: checkpoint.size)
    if proof is None and first.size != second.size:
        raise Wrong(f"give --consistency, the answer of /v1/log/consistency?from={first.size}&to={second.size}")
    roots = roots_with(first.root, first=first.size, second=second.size, proof=proof or [])
    if first.origin != second.origin or roots != (first.root, second.root):
        raise Wrong("the checkpoint of the evidence does not go on from the one that you kept")


def _same_text(shown: Row, event: Row) -> None:
    if sha256(canonical(shown).encode()).hexdigest() != event["disclosure_sha256"]:
        raise Wrong("the text in the evidence is not the one that was shown")


def check(path: str, *, kept: Iterable[str], consistency: str | None, keys: list[str], ref: str | None) -> Report:
    """Check a file of either kind, given files of checkpoints kept and of a consistency proof.

    Raises ``Unreadable`` for a file that is none of its kind, or is not there.
    """
    try:
        notes = [Path(one).read_text("utf-8") for one in kept]
        steps = None if consistency is None else parse(Path(consistency).read_text("utf-8"))["proof"]
        proof = None if steps is None else [bytes.fromhex(step) for step in steps]
        asked = Asked(keys, notes, proof, ref)
        with Path(path).open(encoding="utf-8") as file:
            first = file.readline()
            if first.startswith('{"type":"log"'):
                return Export(asked).read(_lines(first, file))
            return check_evidence(parse(first + file.read()), asked)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"this is not what it has to be ({type(error).__name__}: {error})") from None


def _lines(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def tell(report: Report) -> int:
    """Print what was found; the exit code."""
    for line in report.findings[:MOST_FINDINGS]:
        sys.stdout.write(f"WRONG {line}\n")
    if len(report.findings) > MOST_FINDINGS:
        sys.stdout.write(f"WRONG and {len(report.findings) - MOST_FINDINGS} more\n")
    for line in report.told:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("SOMETHING IS WRONG\n" if report.findings else "EVERYTHING HOLDS\n")
    return 1 if report.findings else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; the exit code."""
    reader = argparse.ArgumentParser(prog="verify.py", description="Check an export of the log, or one evidence.")
    reader.add_argument("path", metavar="EXPORT|BUNDLE")
    reader.add_argument(
        "--checkpoint", metavar="FILE", action="append", default=[], help="one that you kept; may repeat"
    )
    reader.add_argument("--consistency", metavar="FILE", help="the service's answer that leads from it to the evidence")
    reader.add_argument("--key", action="append", default=[], help="a key you trust, name+id+key; may repeat")
    reader.add_argument("--subject-ref", metavar="REF", help="say what was sent of one subject since that checkpoint")
    given = reader.parse_args(arguments)
    try:
        return tell(
            check(
                given.path,
                kept=given.checkpoint,
                consistency=given.consistency,
                keys=given.key,
                ref=given.subject_ref,
            )
        )
    except Unreadable as error:
        sys.stderr.write(f"{error}\n")
        return 2
