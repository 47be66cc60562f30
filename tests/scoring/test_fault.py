import pytest

from avsync.scoring.fault import constant_fault
from avsync.timing import tolerance

EBU = tolerance("ebu")


@pytest.mark.parametrize(("offset_ms", "kind"), [(30.0, "none"), (50.0, "constant")])
def test_a_constant_offset_is_a_fault_where_it_is_out_of_tolerance(offset_ms, kind):
    fault = constant_fault(offset_ms, 8.0, EBU)
    assert fault.kind == kind
    assert fault.pieces == ((0.0, 8.0, offset_ms, 0.0),)
    assert fault.out_s == (8.0 if kind == "constant" else 0.0)
    assert fault.worst_ms == (offset_ms if kind == "constant" else None)
