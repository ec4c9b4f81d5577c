"""What may be shown and published of an audit: decided once, for the HTML report, the model card and a push."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishChoices:
    """What a report, its card and a push tell of the forget set, and what only the publisher knows.

    By default nothing tells which examples were forgotten.

    Attributes:
        candidate: which candidate of the audit is published; by default the only one.
        force: publish without a verdict. Other weights than the audit saw, and a report that was edited, are not
            published in any case.
        unknown_weights: publish where the audit does not say which weights it saw; `verify` then says that too.
        allow_failing: publish a model that failed its audit; its card says so in the first line.
        accept_exposure: publish what an attack can tell the forgotten examples by, too, where it would be withheld.
        include_forget_ids: name the nearest forgotten examples in the report; a push also publishes the ids of the
            forget set, the whole ledger and all predictions.
        include_forget_images: embed pictures of forgotten examples in the report. They may be personal data.
        license: of the model, for example "apache-2.0". By default what the card of the model says, or that of its
            base model; "" leaves it out.
        license_name: of the licence "other".
        license_link: likewise.
        base_model: Hub id of the model that the candidate was made from. By default where that was loaded from; ""
            leaves it out.
        datasets: Hub ids for the card; by default the audited data set, if its name is a Hub id.
        dataset_revision: commit of the first of them, for the results that the Hub shows.
        tags: for the card's metadata, beside its own.
        new_version: Hub id of the model that replaces this one, for the card's metadata.
    """

    candidate: str | None = None
    force: bool = False
    unknown_weights: bool = False
    allow_failing: bool = False
    accept_exposure: bool = False
    include_forget_ids: bool = False
    include_forget_images: bool = False
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    base_model: str | None = None
    datasets: tuple[str, ...] = ()
    dataset_revision: str | None = None
    tags: tuple[str, ...] = ()
    new_version: str | None = None


# The report in the audit's own folder lies beside the forget set, and may name its examples.
LOCAL = PublishChoices(include_forget_ids=True)
