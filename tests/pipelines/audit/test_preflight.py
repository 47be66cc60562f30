import pytest
from data.made_store import loud, made_store, moving

from avsync.pipelines.audit.preflight import AUDIT_FILE, preflight_audit
from avsync.training.engine.checkpoint import STATE_FILE


@pytest.fixture
def twice(tmp_path):
    """A store that holds one clip twice."""
    clips = {"a/0": (moving(0), loud(0)), "b/1": (moving(1), loud(0)), "c/2": (moving(2), loud(2))}
    return made_store(tmp_path / "store", clips)


def test_a_run_begins_with_an_audit_that_warns_and_refuses_nothing(twice, tmp_path):
    run = tmp_path / "run"
    with pytest.warns(
        UserWarning, match="store: duplicates: pairs of clips with the same audio: 1"
    ):
        said = preflight_audit(run, [twice.path])
    table = (run / AUDIT_FILE).read_text()
    assert "!! duplicates" in table and "ok silence" in table and "offsets" in table
    assert all(line.split(": ", 2)[2] in table for line in said)


def test_a_run_that_goes_on_is_not_looked_at_again(twice, tmp_path, recwarn):
    (tmp_path / STATE_FILE).touch()
    assert preflight_audit(tmp_path, [twice.path]) == []
    assert not (tmp_path / AUDIT_FILE).exists() and not recwarn.list
