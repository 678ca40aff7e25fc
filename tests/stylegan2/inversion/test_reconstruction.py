"""Reports of reconstructions, and the sentence for pictures out of the domain."""

from __future__ import annotations

import pytest
import torch
from micromotion.stylegan2.inversion import (
    InversionError,
    Inverter,
    InverterCard,
    ReconstructionReport,
    StrangerError,
    invert_known,
    kept_outlines,
    out_of_domain,
    reconstruction_report,
)


@pytest.fixture
def truth(generator):
    z = torch.randn(2, generator.width, generator=torch.Generator().manual_seed(5))
    return generator.map(z, 0.7)


def test_true_codes_are_perfect(generator, truth):
    images = generator.synthesize(truth)
    report = reconstruction_report(generator, truth, images)
    assert (report.psnr > 60).all() and (report.pyramid < 1e-6).all()
    assert report.identity is None and (report.outlines > 0.999).all()
    torch.testing.assert_close(report.spread, torch.zeros(2), atol=1e-5, rtol=0)
    assert ((report.distance > 0.3) & (report.distance < 1.5)).all()


def test_rows_that_disagree_have_spread(generator, truth):
    images = generator.synthesize(truth)
    mixed = torch.cat([truth[:, :3], truth.flip(0)[:, 3:]], 1)
    report = reconstruction_report(generator, mixed, images)
    assert (report.spread > 0.1).all() and (report.psnr < 40).all()


def test_outlines_mean_the_same_for_every_size():
    g = torch.Generator().manual_seed(0)
    small = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6, generator=g), size=64, mode="bicubic")
    large = torch.nn.functional.interpolate(small, size=512, mode="bicubic")
    grain = 0.2 * torch.rand(1, 3, 512, 512, generator=g)  # what moves at once when skin or hair is drawn anew
    assert kept_outlines(large, large + grain) > 0.95
    torch.testing.assert_close(kept_outlines(large, large.roll(32, 3)), kept_outlines(small, small.roll(4, 3)), atol=0.05, rtol=0)


def test_known_error(generator, truth):
    images = generator.synthesize(truth).clamp(-0.7, 0.7)
    flat = images.clamp(-0.1, 0.1)
    expected = 10 * torch.log10(4 / (generator.synthesize(truth).clamp(-1, 1) - flat).square().mean((1, 2, 3)))
    torch.testing.assert_close(reconstruction_report(generator, truth, flat).psnr, expected)


def test_outlines_count_where_they_lie_and_not_how_bright_they_are(generator, truth):
    images = generator.synthesize(truth).clamp(-1, 1)
    for other in (0.3 * images + 0.2, images.mean(1, keepdim=True).expand(-1, 3, -1, -1)):
        assert (reconstruction_report(generator, truth, other).outlines > 0.9).all()
    assert (reconstruction_report(generator, truth, images.roll(images.shape[-1] // 3, -1)).outlines < 0.6).all()
    assert (reconstruction_report(generator, truth, -images).outlines < 0).all()


def test_sizes_may_differ(generator, truth):
    images = generator.synthesize(truth).clamp(-1, 1)
    small = torch.nn.functional.avg_pool2d(images, 2)
    assert (reconstruction_report(generator, truth, small).psnr > 60).all()
    large = images.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert (reconstruction_report(generator, truth, large).psnr > 25).all()


def test_identity_is_reported(generator, truth):
    class Mean(torch.nn.Module):
        def embed(self, images):
            return torch.nn.functional.normalize(images.mean((2, 3)))

    images = generator.synthesize(truth)
    report = reconstruction_report(generator, truth, images, identity=Mean())
    torch.testing.assert_close(report.identity, torch.ones(2))
    assert "identity 1.000" in str(report)
    assert reconstruction_report(generator, truth, -images, identity=Mean()).identity.max() < 0


def test_text_names_the_figures(generator, truth):
    text = str(reconstruction_report(generator, truth, -generator.synthesize(truth)))
    assert text.startswith("PSNR ") and "dB" in text and "spreads of W" in text


def test_one_code_serves_many_images(generator, truth):
    images = generator.synthesize(truth)
    report = reconstruction_report(generator, truth[:1], images)
    assert report.psnr[0] > 60 > report.psnr[1]


def test_wrong_codes_are_refused(generator, truth):
    with pytest.raises(InversionError, match=r"need \[2, 6, 32\]"):
        reconstruction_report(generator, truth[:, :4], generator.synthesize(truth))


def made(psnr: float, outlines: float = 0.9) -> ReconstructionReport:
    nothing = torch.zeros(2)
    return ReconstructionReport(torch.tensor([40.0, psnr]), nothing, None, nothing, nothing, torch.tensor([0.9, outlines]))


def test_photo_in_an_avatar_inverter_gets_its_sentence():
    card = InverterCard(domain="rendered avatars", typical_psnr=27.0)
    sentence = out_of_domain(card, made(14.2))
    assert sentence.startswith("This inverter was made for rendered avatars, and this picture is not one")
    assert "at 14.2 dB (typical 27.0 dB)" in sentence
    assert "ffhq.pkl" in sentence and "restyle_psp_ffhq_encode.pt" in sentence
    assert sentence.count(". ") == 1


def test_good_pictures_and_silent_cards_get_none():
    card = InverterCard(domain="rendered avatars", typical_psnr=27.0)
    assert out_of_domain(card, made(15.1)) is None and out_of_domain(card, made(14.9)) is not None
    assert out_of_domain(card, made(21.0, 0.34)) is None
    assert "29% of its outlines are in place (at least 33%)" in (out_of_domain(card, made(21.0, 0.29)) or "")
    assert out_of_domain(card, made(22.0), margin=3.0) is not None
    assert out_of_domain(InverterCard(), made(3.0)) is None


def test_photo_inverters_do_not_send_to_photo_inverters():
    sentence = out_of_domain(InverterCard(domain="FFHQ photos", typical_psnr=20.0), made(7.0))
    assert "Align the face" in sentence and "ffhq.pkl" not in sentence


class Guess(Inverter):
    """Answers with the mean code, whatever it is shown, and counts."""

    def __init__(self, typical):
        super().__init__(InverterCard(domain="rendered avatars", typical_psnr=typical))
        self.asked = []

    def invert(self, generator, images, steps=None, progress=None):
        self.asked.append(steps)
        return generator.w_avg.expand(len(images), generator.num_layers, -1)


def test_a_stranger_stops_before_the_steps_that_were_asked_for(generator, truth):
    images, guess = generator.synthesize(truth), Guess(90.0)
    with pytest.raises(StrangerError, match="rendered avatars"):
        invert_known(guess, generator, images, steps=500)
    assert guess.asked == [None]
    codes, sentence = invert_known(guess, generator, images, steps=500, anyway=True)
    assert guess.asked == [None, None, 500] and codes.shape == truth.shape and "rendered avatars" in sentence


def test_known_faces_and_silent_cards_are_inverted(generator, truth):
    images = generator.synthesize(truth)
    assert invert_known(Guess(1.0), generator, images)[1] is None
    silent = Guess(None)
    assert invert_known(silent, generator, images, steps=7)[1] is None and silent.asked == [7]
