"""`audit --candidate hub:USER/NAME`: the model is fetched, and its predictions lie beside the report."""

from __future__ import annotations

import numpy as np
from unlearn_audit.cli.sources import Source

from unlearn_audit.data import load_images
from unlearn_audit.models import create_model, predict, save_model
from unlearn_audit.predictions import Predictions


def test_a_hub_candidate_is_fetched_and_predicted(tmp_path, monkeypatch) -> None:
    data = load_images("digits")
    model = create_model("resnet8", data.train, seed=0, width=4)
    save_model(model, tmp_path / "model")
    asked = []
    monkeypatch.setattr("unlearn_audit.cli.sources.pull", lambda repo, only: asked.append(repo) or tmp_path / "model")
    source = Source(tmp_path / "report", "digits", None)
    items = source.named(["mine=other.parquet", "u=hub:ann/net", "hub:bob/ltd@v2", "u=hub:ann/net-2"])
    assert asked == ["hub:ann/net", "hub:bob/ltd@v2", "hub:ann/net-2"]
    folder = tmp_path / "report" / "predictions"
    files = [f"u={folder / 'u.parquet'}", f"ltd={folder / 'ltd.parquet'}", f"u={folder / 'u-2.parquet'}"]
    assert items == ["mine=other.parquet", *files]
    found = Predictions.load(folder / "u.parquet")
    np.testing.assert_allclose(found.logits, predict(model, data).logits, rtol=1e-5, atol=1e-5)
    assert found.metadata["model_id"] == "hub:ann/net"
