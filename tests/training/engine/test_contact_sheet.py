import cv2
import numpy as np
import torch

from avsync.training.engine.batches import BatchDataset
from avsync.training.engine.contact_sheet import (
    AUDIO_PX,
    CROP_PX,
    GAP_PX,
    PAPER,
    SHEET_FILE,
    TEXT_PX,
    contact_sheet,
    write_contact_sheet,
)
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import LoopSettings

HEIGHT = TEXT_PX + CROP_PX + AUDIO_PX + GAP_PX


def test_crops_stand_in_a_row_as_the_model_sees_them(tmp_path):
    frames = torch.zeros(2, 3, 5, 24, 48)
    frames[1, 0, 4] = 1.0  # the last frame of the second item is red
    path = write_contact_sheet(tmp_path, (frames, torch.randn(2, 3200)))
    image = cv2.imread(str(path))[..., ::-1]
    assert image.shape == (2 * HEIGHT, 5 * 2 * CROP_PX, 3)
    crops = image[HEIGHT + TEXT_PX : HEIGHT + TEXT_PX + CROP_PX]
    assert (crops[:, -2 * CROP_PX :] == [255, 0, 0]).all()
    assert not crops[:, : -2 * CROP_PX].any()


def test_the_audio_is_drawn_where_it_is():
    wav = torch.zeros(1, 3200)
    wav[0, 1600:] = 0.01
    sheet = contact_sheet((torch.rand(1, 3, 5, 24, 24), wav))
    row = sheet[TEXT_PX + CROP_PX + 2, :, 0]
    half = len(row) // 2
    assert (row[: half - 2] == PAPER).all() and (row[half + 2 :] < PAPER).all()


def test_low_bands_of_a_mel_lie_at_the_bottom_and_loud_is_dark():
    mel = torch.zeros(1, 8, 10)
    mel[0, 0] = 1.0
    sheet = contact_sheet((torch.rand(1, 12, 24, 24), mel))
    audio = sheet[TEXT_PX + CROP_PX : TEXT_PX + CROP_PX + AUDIO_PX]
    assert (audio[-4:] == 0).all() and (audio[:-8] == PAPER).all()


def test_labels_are_distinguished():
    frames, wav = torch.rand(1, 3, 5, 24, 24), torch.randn(1, 3200)
    texts = [
        contact_sheet((frames, wav, label))[:TEXT_PX] for label in (torch.ones(1), torch.zeros(1))
    ]
    assert not np.array_equal(*texts)


def test_a_batch_without_frames_has_no_sheet(tmp_path):
    assert write_contact_sheet(tmp_path, (torch.rand(4, 1), torch.rand(4, 1))) is None
    assert not list(tmp_path.iterdir())


def test_augmented_frames_beyond_one_are_shown():
    grey = torch.linspace(-2, 3, 24).expand(1, 5, 24, 24)
    sheet = contact_sheet((grey, torch.randn(1, 3200)))
    crop = sheet[TEXT_PX + 2, :CROP_PX, 0].astype(int)
    assert crop[0] == 0 and crop[-1] == 255 and (np.diff(crop) >= 0).all()


def test_a_run_begins_with_the_sheet_of_its_first_batch(tmp_path):
    class Brightness(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, frames, wav):
            return (self.scale * frames).mean()

    def make_batch(rng, draws):
        return torch.full((1, 3, 5, 8, 8), float(rng.uniform())), torch.zeros(1, 3200)

    settings = LoopSettings(output=tmp_path, steps=1, device="cpu")
    fit(Brightness(), make_batch, settings, 1.0, lambda task: {})
    first = BatchDataset(make_batch, settings.seed, 1)[0].tensors
    image = cv2.imread(str(tmp_path / SHEET_FILE))[..., ::-1]
    np.testing.assert_array_equal(image, contact_sheet(first))


def test_bytes_are_shown_as_they_are():
    frames = torch.randint(0, 100, (1, 3, 5, 24, 24), dtype=torch.uint8)
    wav = torch.randn(1, 3200)
    np.testing.assert_allclose(
        contact_sheet((frames, wav)).astype(int),
        contact_sheet((frames / 255, wav)).astype(int),
        atol=1,
    )
