import pytest
from unlearn_audit.cli import init

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment import read_study


@pytest.mark.parametrize("example", ["digits", "cifar100_resnet20"])
def test_init_writes_a_configuration_that_is_read(tmp_path, example):
    path = tmp_path / "new" / "mine.yaml"
    init.run(path, example=example)
    assert read_study(path).name == "mine"


def test_init_does_not_write_over_a_file_unless_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match=r"mine\.yaml is there already"):
        init.run(path)
    assert path.read_text() == "precious"
    init.run(path, force=True)
    assert path.read_text() != "precious"


def test_an_unknown_example_is_named_with_the_nearest(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'digits'"):
        init.run(tmp_path / "x.yaml", example="digit")
