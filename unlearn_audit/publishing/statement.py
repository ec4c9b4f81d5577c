"""A statement for a data-protection officer, from a report that was verified: what was found, and what nobody tested.

It tells no more of who was forgotten than what is published: no id, no name of a file, no seed; of few examples, and
where nearly a whole class was forgotten, neither size nor class nor figures. What may be claimed of a verdict is said
in the words of docs/how-to-read-a-report.md.

Articles are those of Regulation (EU) 2016/679 (GDPR); the EDPB's Opinion 28/2024 is named by the
question that it answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearn_audit import __version__
from unlearn_audit.auditing.briefly import WORDS
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.judgement import Judgement, memorised
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Finding
from unlearn_audit.auditing.report import COPIES, AuditReport, ModelRecord
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.errors import AuditError
from unlearn_audit.populations import FORGET, POPULATIONS
from unlearn_audit.publishing.answers import ANSWERS
from unlearn_audit.publishing.attacks.counts import NEARLY_ALL
from unlearn_audit.publishing.public import public_report, too_few
from unlearn_audit.reporting.card import find_candidate
from unlearn_audit.reporting.charting import measure_title
from unlearn_audit.reporting.ledger import Ledger, read_ledger
from unlearn_audit.reporting.sections.verdicts import WORDS as VERDICTS
from unlearn_audit.reporting.sections.verdicts import alarms, has_verdict, retrained_models
from unlearn_audit.reporting.statement import Part, Row, Statement
from unlearn_audit.reporting.tables import whole
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, SIGNATURES, file_hash, read_manifest
from unlearn_audit.saved.published import FIRST_VERSION
from unlearn_audit.saved.signing import signed_by
from unlearn_audit.saved.standing import SETTLED, standing
from unlearn_audit.saved.verify import Verification

MOST = 4  # candidates on the page; the others are counted
_NAME, _TEXT, _REASON = 40, 90, 420  # characters of a name, a description and a reason
_OPTION = re.compile(r": --(?:identity|retrain one)$")  # of `verify`, which is not asked here
_HASH = 16  # hexadecimal digits of a hash in a table
TITLE = "Statement on deleted training data"
NOT_ADVICE = (
    "It reports a technical test of predictions. It is no legal advice, and it does not say that the examples are "
    "erased from the model, that nobody can infer them, or that a law is satisfied: that is for you to judge."
)
FORGOTTEN, UNHARMED, ELSEWHERE = "Forgotten?", "Neighbours unharmed?", "All else unharmed?"
ASKED: tuple[Row, ...] = (
    ("Was the model made to forget the data?", "GDPR Art. 17(1)", "Parts 1 and 3, by predictions alone"),
    ("Can you demonstrate that?", "GDPR Art. 5(2)", "Parts 2, 6 and 7"),
    (
        "Can personal data still be obtained from the model?",
        "EDPB Opinion 28/2024, on its first question (anonymity)",
        "In part: part 3 is one test of one kind; part 5 has what it leaves open",
    ),
    ("Did the request have to be granted, and was it in time?", "GDPR Art. 17(1) and (3), 12(3)", "Not here"),
    ("Were recipients told, and public copies followed?", "GDPR Art. 17(2), 19", "Not here"),
)
NOT_TESTED = (
    "The weights themselves, and attacks that look at anything but predictions on these examples: extraction, "
    "inversion, reconstruction. An assessment of anonymity asks for them too.",
    "Everything but the model: stored data, backups, logs, caches, embeddings, other models made from the same data or "
    "from the model before deletion, and whoever received any of them.",
    "Whether the list of deleted examples is complete: whether it holds all of a person's data and every copy.",
    "Another deletion, other data, or other ways of retraining: each may give another answer.",
    "Differences smaller than the tolerances, or than these retrained models can show.",
)


@dataclass(frozen=True)
class _Told:
    """A report in the form in which it may be told, and what else the parts need."""

    report: AuditReport
    policy: Policy
    figures: bool
    copies: bool
    candidates: tuple[ModelRecord, ...]

    @property
    def unit(self) -> str:
        return next(measure.unit for measure in self.report.measures if measure.name == self.policy.measure)


def statement_of(
    folder: str | Path, found: Verification, *, signers: Sequence[str] = (), candidate: str | None = None
) -> Statement:
    """Return the statement on a report.

    Args:
        folder: of the report, whole or as published with its figures.
        found: by `verify`, without differences.
        signers: ids of the keys whose signatures were checked.
        candidate: the one to speak of; None speaks of all, of at most `MOST` in full.

    Raises:
        AuditError: where the report cannot be read, or was judged by the first version.
        ConfigurationError: for an unknown candidate.
    """
    folder = Path(folder)
    told = _told(folder, candidate)
    digest, stands = file_hash(folder / MANIFEST), standing(folder, found, signers)
    lead = (
        f"For the data-protection officer, from an audit of {told.report.provenance.created[:10]}. Before it was "
        f"written every file was hashed ({found.files}) and every figure that can be was computed again "
        f"({found.figures}); all agree. {NOT_ADVICE}",
    )
    first = (_deleted(told), _tested(told), _found(told))
    second = (
        Part("What you are asked, and where it is answered", columns=("asked", "by", "answered"), rows=ASKED),
        _open(told),
        _trust(stands),
        _signed(folder, told.report.provenance.seal, dict(stands)[SETTLED], signers),
    )
    foot = f"{MANIFEST} SHA-256 {digest}   ·   unlearn-audit {__version__}"
    return Statement(TITLE, lead, (first, second), foot, told.report.provenance.created)


def _told(folder: Path, candidate: str | None) -> _Told:
    if (folder / ANSWERS).exists():
        raise AuditError("Of this audit the answers alone are published: ask whoever made it for the statement.")
    report, manifest = AuditReport.load(folder), read_manifest(folder)
    policy = report.policy
    if not isinstance(policy, Policy):
        raise AuditError(FIRST_VERSION)
    copies, figures = COPIES in report.provenance.configuration, _may_be_told(folder, report)
    if not report.forget_set.salted:
        hidden = commitment(Forgotten.read(folder / manifest.request.forget).ids, manifest.salt)
        report = public_report(report, title=TITLE, commitment=hidden)
    names = worst_first(report) if candidate is None else [find_candidate(report, candidate).name]
    return _Told(report, policy, figures, copies, tuple(map(report.model, names)))


def _may_be_told(folder: Path, report: AuditReport) -> bool:
    """Tell whether size, classes and figures tell no one who was forgotten: many were, and of no class nearly all."""
    if report.forget_set.salted:  # it was published so
        return True
    if too_few(report.forget_set):
        return False
    ledger = Ledger.of(read_ledger(folder))
    train = ledger["split"] == "train"
    labels, forgotten = ledger["label"][train], (ledger["population"] == POPULATIONS[FORGET])[train]
    size, lost = np.bincount(labels), np.bincount(labels, weights=forgotten)
    return bool((lost / np.maximum(size, 1)).max() < NEARLY_ALL)


def _deleted(told: _Told) -> Part:
    forget, data = told.report.forget_set, told.report.data
    size = f"{whole(forget.size)} {_cut(forget.description, _TEXT)}"
    hidden = (
        "some training examples; how many, and of which classes, would tell who they are, and stays with the auditor"
    )
    said = [
        f"Deleted: {size if told.figures else hidden}.",
        f"From models that were trained on: {_cut(data.name, _TEXT)}, fingerprint {_cut(data.fingerprint, _HASH, '')}.",
        f"Which they were is committed to by the salted SHA-256 {_cut(forget.hash, 64, '')}: the auditor proves it by "
        "showing ids and salt, to whom they choose.",
    ]
    if told.copies:
        said.append("Copies of the very same images stay in the data: whatever is trained on them still knows them.")
    return Part("What was deleted", "GDPR Art. 17(1), right to erasure", tuple(said))


def _tested(told: _Told) -> Part:
    policy = told.policy
    said = (
        f"Each model was compared with {retrained_models(told.report.num_references)} that were trained anew without "
        "the deleted examples: what a model is that never saw them.",
        "Three questions: does it treat the deleted examples as those do, and are the examples nearest to them, and "
        "all others, unharmed? Each by confidence in the right answer and by the whole prediction, in every group.",
        f"Tolerated were {100 * policy.level:g} points of confidence and {policy.pattern:g} {told.unit} of "
        f"{_cut(measure_title(told.report, policy.measure), _NAME)}; an honestly retrained model fails in at most "
        f"{100 * policy.alpha:g} % of such audits, by design.",
    )
    return Part("How it was tested", "GDPR Art. 5(2), accountability", said)


def _found(told: _Told) -> Part:
    shown = told.candidates[:MOST]
    said = [_claim(told, model) for model in shown]
    more = len(told.candidates) - len(shown)
    said += [f"{more} more models were audited, none with a worse verdict: the report has them."] if more else []
    said += [_doing_nothing(told)]
    said += [_cut(f"Caution: {alarm}", _REASON) for alarm in alarms(told.report)[:1] if told.figures]
    rows = tuple(_row(told, model) for model in shown)
    columns = ("model", "weights, SHA-256", "verdict", FORGOTTEN, UNHARMED, ELSEWHERE)
    asked = "GDPR Art. 17(1) and 5(2); EDPB Opinion 28/2024, on its first question, in part"
    return Part("What was found", asked, tuple(said), columns, rows, (27, 23, 18, 18, 18, 19))


def _row(told: _Told, model: ModelRecord) -> Row:
    judgement, given = told.report.judgements[model.name], has_verdict(told.report, model.name)
    words: dict[Question, str] = {a.question: WORDS[a.outcome] for a in judgement.answers} if given else {}
    return (
        _name(model),
        _cut(model.weights_hash, _HASH, "") or "not known",
        VERDICTS[judgement.outcome] if given else "No verdict",
        *(words.get(question, "no answer") for question in ("forgotten", "neighbours", "rest")),
    )


def _claim(told: _Told, model: ModelRecord) -> str:
    """Return what a person may claim of a candidate, and no more."""
    verdict, name = told.report.verdicts[model.name], _name(model)
    judgement = told.report.judgements[model.name]
    if not has_verdict(told.report, model.name):
        return f"{name}: no verdict is given, and nothing may be claimed."
    k = f"K = {verdict.num_references}"
    if verdict.outcome == "inconclusive":
        return f"{name}: not settled by {k} retrained models, and nothing else may be claimed."
    if not told.figures:
        done = "passed" if verdict.outcome == "pass" else "failed"
        return f"{name}: {done} ({k}); the figures would tell who was deleted, and stay with the auditor."
    if verdict.outcome == "fail":
        return f"{name}: failed ({k}). {_cut(verdict.reason, _REASON)}"
    return f"{name}: passed ({k}). {_passed(judgement, told)}"


def _passed(judgement: Judgement, told: _Told) -> str:
    found = [(answer.question, finding) for answer in judgement.answers for finding in answer.findings]
    levels = {
        question: max(_lost(f, both=question == "forgotten") for q, f in found if q == question and f.kind == "level")
        for question in dict(found)
    }
    first = next(f for q, f in found if q == "forgotten" and f.kind == "level")
    pattern = max(f.upper or 0.0 for _, f in found if f.kind == "pattern")
    harm = {
        "neighbours": "on the examples nearest to them it lost at most {:.1f} points of confidence",
        "rest": "everywhere else at most {:.1f}",
    }
    said = [text.format(levels[question]) for question, text in harm.items() if question in levels]
    return (
        "It recognises the deleted examples as models do that never saw them: mean confidence "
        f"{100 * first.value:.1f} %, retrained models {100 * first.expected:.1f} %, a difference of at most "
        f"{levels['forgotten']:.1f} points; {', '.join(said)}. In every group its predictions differ from retrained "
        f"models' by at most {pattern:.3f} {told.unit} more than those differ among themselves (each bound "
        f"{100 * (1 - told.policy.alpha):g} %)."
    )


def _lost(finding: Finding, *, both: bool) -> float:
    """Return the farthest bound of the confidence that was lost, or of a difference to `both` sides, in points."""
    lower, upper = finding.lower or 0.0, finding.upper or 0.0
    return 100 * max(0.0, -lower, upper if both else 0.0)


def _doing_nothing(told: _Told) -> str:
    original = told.report.judgements.get("original")
    if original is None or not original.answers:
        return "What the model scored before the deletion was not tested: a pass means little beside nothing."
    known = memorised(original)
    if known == "not known":
        return "Whether the model before the deletion would have passed the first question is not settled."
    if known == "nothing measurable":
        return "The model before the deletion would have passed the first question as well: there was little to forget."
    finding = original.answers[0].finding
    by = f" by {abs(100 * finding.difference):.1f} points" if told.figures and finding.kind == "level" else ""
    return f"The model before the deletion failed the first question{by}: there was something to forget."


def _open(told: _Told) -> Part:
    return Part("What was not tested", "EDPB Opinion 28/2024, on its first question; GDPR Art. 17(2), 19", NOT_TESTED)


def _trust(stands: Sequence[tuple[str, str]]) -> Part:
    rows = tuple((what, _cut(_OPTION.sub("", how), _REASON // 2)) for what, how in stands)
    said = (
        "Whoever made the audit may have had a reason to let it pass. What rests on trust they could have made up, and "
        "nobody would notice.",
    )
    return Part("What rests on trust", "GDPR Art. 5(2)", said, ("part", "how it stands"), rows, (30, 90))


def _signed(folder: Path, seal: str, settled: str, signers: Sequence[str]) -> Part:
    named = signed_by(folder) if (folder / SIGNATURES).exists() else ()
    checked = [f"Signed with the key {key}; the signature was checked." for key in signers]
    others = [f"Says to be signed with the key {key}; that was not checked." for key in named if key not in signers]
    said = [_cut(text, 130) for text in (checked + others)[:MOST]] or ["No one has signed the report."]
    said += [_sealed(seal, settled), "For the controller: name, date, signature " + "_" * 52]
    return Part("Who signed, and what was settled before", "GDPR Art. 5(2)", tuple(said))


def _sealed(seal: str, settled: str) -> str:
    """Say whether what the verdict rests on was settled before, as `standing` has it."""
    if not seal:
        return "Not sealed: nothing shows that what the verdict rests on was settled before the outcome was seen."
    if settled.startswith("NO"):
        return _cut(f"Sealed too late. Settled before looking: {settled}.", _REASON // 2)
    return (
        f"Sealed: what the verdict rests on is settled in the seal {_cut(seal, _HASH, '')}. Ask who was given it, when."
    )


def _name(model: ModelRecord) -> str:
    """Return a candidate's name, of a long one its beginning and its end."""
    name = " ".join(model.name.split())
    return name if len(name) <= _NAME else f"{name[: _NAME - 13]}…{name[-12:]}"


def _cut(text: str, most: int, mark: str = "…") -> str:
    """Return a text of at most `most` characters, on one line; what is left out is marked."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - len(mark)] + mark
