import pytest
import torch

from unmask.distill import loss
from unmask.distill.objectives import certainty, cross_entropy, divergence

Z = torch.tensor([[2, 1, 0], [0, 3, 1], [1, 1.5, 0], [0, 0, 4]], dtype=torch.float64)


def asked(logits, target, views=None, teacher=None):
    target = torch.tensor(target)
    views = torch.zeros_like(target) if views is None else torch.tensor(views)
    return loss.Asked(logits, target, views, torch.ones(len(target)), teacher)


def objectives(certain, temperature=0.5):
    return {
        "cross_entropy": (1.0, cross_entropy.make(1.0)),
        "certainty": (certain, certainty.make(temperature)),
    }


def test_entropy_in_nats():
    z = Z[:1]
    assert loss.entropy(z).item() == pytest.approx(0.83239558, abs=1e-8)
    assert loss.entropy(z / 0.5).item() == pytest.approx(0.44105744, abs=1e-8)
    assert loss.entropy(z + 7).item() == pytest.approx(0.83239558, abs=1e-8)
    assert loss.entropy(torch.zeros(1, 50)).item() == pytest.approx(torch.tensor(50.0).log().item())


@pytest.mark.parametrize(
    ("nats", "best", "others"),
    [(0.5, 0.80029010, 1), (0.45, 0.83368176, 1), (0.5, 0.96915666, 126463),
     (0.45, 0.97243491, 126463)],
)  # fmt: skip
def test_what_a_bar_in_nats_means(nats, best, others):
    """The best token's probability at which a bar passes, against one rival or all of LLaDA's."""
    rest = torch.full((others,), (1 - best) / others, dtype=torch.float64)
    log = torch.cat([torch.tensor([best], dtype=torch.float64), rest]).log()[None]
    assert loss.entropy(log).item() == pytest.approx(nats, abs=1e-6)


def test_entropy_of_sharp_logits_in_fp32():
    z = torch.empty(200, 1000, dtype=torch.float64).uniform_(
        -80, 80, generator=torch.Generator().manual_seed(0)
    )
    assert loss.entropy(z.float()).double().sub(loss.entropy(z)).abs().max() < 1e-5


def test_a_forbidden_id_gives_neither_nan_nor_gradient():
    z = torch.tensor([[1.0, 0.5, -torch.inf]], requires_grad=True)
    loss.entropy(z).sum().backward()
    assert z.grad.isfinite().all()
    assert z.grad[0, 2] == 0


@pytest.mark.parametrize(("beta", "value"), [(2.0, 0.79873157), (1.0, 0.61406065)])
def test_the_published_loss(beta, value):
    how = loss.Reference(1.0, certainty_on_complement=True)
    found, means = loss.reference_total(asked(Z, [0, 1, 0, 2]), objectives(beta), how)
    assert found.item() == pytest.approx(value, abs=1e-8)
    assert means["cross_entropy"].item() == pytest.approx(0.42938972, abs=1e-8)
    assert means["certainty"].item() == pytest.approx(0.18467092, abs=1e-8)


@pytest.mark.parametrize(("beta", "value"), [(2.0, 1.85384966), (1.0, 1.35631455)])
def test_the_published_complement(beta, value):
    how = loss.Reference(1.0, certainty_on_complement=True)
    given = asked(Z, [0, 1, 0, 2], [0, 1, 0, 1])
    assert loss.reference_total(given, objectives(beta), how)[0].item() == pytest.approx(
        value, abs=1e-8
    )


@pytest.mark.parametrize(("beta", "value"), [(2.0, 0.391468), (1.0, 0.326010)])
def test_the_loss_of_d3llm(beta, value):
    z = torch.tensor([[2.0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float64)
    how = loss.Reference(4.0, certainty_on_complement=False)
    found, means = loss.reference_total(asked(z, [0, 2]), objectives(beta), how)
    assert found.item() == pytest.approx(value, abs=1e-6)
    assert means["cross_entropy"].item() == pytest.approx(1.042211, abs=1e-6)
    assert means["certainty"].item() == pytest.approx(0.261831, abs=1e-6)


def test_certainty_pulls_at_right_predictions_only():
    z = Z.clone().requires_grad_()
    given = asked(z, [0, 1, 0, 0])  # the last two are wrong
    certainty.make(0.5)(given).loss_T.sum().backward()
    expected = torch.tensor([-0.51683886, 0.39929518, 0.11754369]).double()
    assert torch.allclose(z.grad[0], expected, atol=1e-7)
    assert (z.grad[2:] == 0).all()


def test_nothing_right_is_no_certainty_but_a_gradient():
    z = Z[:2].clone().requires_grad_()
    how = loss.Reference(1.0, certainty_on_complement=True)
    found, means = loss.reference_total(asked(z, [1, 0]), objectives(2.0), how)
    found.backward()
    assert means["certainty"] == 0
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(("temperature", "ratio"), [(0.5, 0.5964), (1.0, 7.856)])
def test_which_temperature_reaches_sure_tokens(temperature, ratio):
    z = torch.tensor([[4.0, 0.0]], dtype=torch.float64, requires_grad=True)
    given = asked(z, [0])
    pulls = [
        torch.autograd.grad(objective(given).loss_T.sum(), z)[0].norm().item()
        for objective in (certainty.make(temperature), cross_entropy.make(1.0))
    ]
    assert 2 * pulls[0] / pulls[1] == pytest.approx(ratio, rel=1e-3)


def test_divergence_from_oneself_is_nothing():
    given = asked(Z, [0, 1, 0, 2], teacher=Z.clone())
    assert divergence.make(1.0)(given).loss_T.abs().max() < 1e-12
    given = asked(Z[:1], [0], teacher=Z[1:2])
    p, q = Z[1].softmax(0), Z[0].softmax(0)
    expected = (p * (p.log() - q.log())).sum().item()
    assert divergence.make(1.0)(given).loss_T.item() == pytest.approx(expected)


def test_one_mean_over_all_tokens_is_the_sum_of_its_parts():
    weights = objectives(2.0, 1.0)
    whole, _ = loss.total(asked(Z, [0, 1, 0, 2]), weights, 4)
    parts = [
        loss.total(asked(Z[cut], [0, 1, 0, 2][cut]), weights, 4)[0]
        for cut in (slice(0, 1), slice(1, 4))
    ]
    assert whole.item() == pytest.approx(sum(parts).item())
