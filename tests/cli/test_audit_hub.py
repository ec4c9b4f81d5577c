"""`audit --candidate hub:USER/NAME`: the model is fetched, and its predictions lie beside the report."""

from __future__ import annotations

import numpy as np
from unlearn_audit.cli.audit import _fetched

from unlearn_audit.data import load_images
from unlearn_audit.models import create_model, predict, save_model
from unlearn_audit.predictions import Predictions


def test_a_hub_candidate_is_fetched_and_predicted(tmp_path, monkeypatch) -> None:
    data = load_images("digits")
    model = create_model("resnet8", data.train, seed=0, width=4)
    save_model(model, tmp_path / "model")
    asked = []
    monkeypatch.setattr(
        "unlearn_audit.publishing.hub.pull", lambda repo, only: asked.append(repo) or tmp_path / "model"
    )
    items = _fetched(["mine=other.parquet", "u=hub:ann/net", "hub:bob/ltd"], tmp_path / "report", "digits", None)
    assert asked == ["hub:ann/net", "hub:bob/ltd"]
    folder = tmp_path / "report" / "predictions"
    assert items == ["mine=other.parquet", f"u={folder / 'u.parquet'}", f"ltd={folder / 'ltd.parquet'}"]
    found = Predictions.load(folder / "u.parquet")
    np.testing.assert_allclose(found.logits, predict(model, data).logits, rtol=1e-5, atol=1e-5)
    assert found.metadata["model_id"] == "hub:ann/net"
