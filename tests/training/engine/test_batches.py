import pytest
import torch

from avsync.training.engine.batches import BatchDataset, Curriculum


def make_batch(rng, draws):
    return torch.rand(3, generator=draws), torch.tensor(rng.uniform())


def same(one, other):
    pairs = zip(one.tensors, other.tensors, strict=True)
    return one.seed == other.seed and all(torch.equal(a, b) for a, b in pairs)


def test_a_batch_is_drawn_from_its_number_alone():
    one, other = BatchDataset(make_batch, 5, 9), BatchDataset(make_batch, 5, 9)
    assert [one[index].seed for index in range(8)] == [other[index].seed for index in range(8)]
    assert same(one[3], other[3])
    assert not same(one[3], one[4])
    assert not same(one[3], BatchDataset(make_batch, 6, 9)[3])


def test_processes_that_prefetch_batches_change_nothing():
    batches = BatchDataset(make_batch, 0, 7)
    alone, prefetched = list(batches.from_step(2)), list(batches.from_step(2, workers=2))
    assert len(alone) == len(prefetched) == 5
    assert all(same(one, other) for one, other in zip(alone, prefetched, strict=True))


def test_no_two_batches_of_a_step_are_the_same():
    drawn = [
        BatchDataset(make_batch, 0, 4, 2, rank, 3)[2 + turn] for rank in range(3) for turn in (0, 1)
    ]
    assert len({batch.seed for batch in drawn}) == 6


def test_two_batches_a_step_are_what_two_processes_draw():
    alone = BatchDataset(make_batch, 0, 4, accumulate=2)
    shared = [BatchDataset(make_batch, 0, 4, 1, rank, processes=2) for rank in range(2)]
    for step in range(4):
        assert same(alone[2 * step], shared[0][step])
        assert same(alone[2 * step + 1], shared[1][step])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_curriculum_gets_the_share_of_steps_done(accumulate):
    progresses = []

    def at(progress):
        progresses.append(progress)
        return make_batch

    list(BatchDataset(Curriculum(at), 0, 4, accumulate).from_step(1))
    assert progresses == [share for share in (0.25, 0.5, 0.75) for _ in range(accumulate)]
