"""KL(teacher || student) on the same noised text."""

from __future__ import annotations

from torch.nn import functional as F

from unmask.distill.loss import Asked, Objective, Parts

NEEDS_TEACHER = True


def make(temperature: float) -> Objective:
    """In nats, both at ``temperature``."""

    def value(asked: Asked) -> Parts:
        assert asked.teacher_TV is not None, "the loop brings a teacher when it is needed"
        student = F.log_softmax(asked.logits_TV / temperature, -1)
        teacher = F.log_softmax(asked.teacher_TV / temperature, -1)
        return Parts(F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1))

    return value
