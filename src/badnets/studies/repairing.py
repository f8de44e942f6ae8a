"""The repair of a suspect model: audit, unlearn what was recovered, audit again, and see how soon it learns it again.

Nobody tells it trigger, target or an attack rate. A model that came out worse is not handed over unless it is asked
for, and is marked then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from badnets.audit.auditing import Declared, audit
from badnets.audit.conventions import Adapted, find_convention
from badnets.audit.digest import tensors_digest
from badnets.audit.objectives import Objective
from badnets.audit.population import Population
from badnets.audit.stages import Watch
from badnets.audit.verdict import Verdict
from badnets.data import ImageSet, ImageSource
from badnets.defenses.clean import divided, logits_of, right
from badnets.defenses.repair import REPAIRS, Repaired, UnlearnSpec, unlearning
from badnets.defenses.repair.repaired import HELD_OUT
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.metrics.relearning import relearned
from badnets.seeds import generator
from badnets.studies.recovering import AsPolicy, Suspected, objective_of, recover, remainders
from badnets.studies.repair_report import Moved, Outcome, RepairOptions, RepairReport
from badnets.triggers import Trigger

# Of held-out images, what a recovered trigger may still move in a repaired model.
MOVED = 0.1
# Without a trigger: about half a point is what it costs a clean model. Fine-pruning removes more, and costs more.
TRIGGER_FREE = "ft-sam"
_JUDGES = 2000
_SUSPECTED, _BESIDE = 3, 0.5


@dataclass(frozen=True, eq=False)
class Finding:
    """What an audit said of the model, with the triggers that it recovered, by the names of their files."""

    verdict: Verdict
    triggers: Mapping[str, Trigger]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a model beside its weights; none of it is the attacker's.

    Attributes:
        declared: what it is said to be.
        population: clean reference models, for both audits.
        finding: of an audit that was made before; None audits first.
    """

    declared: Declared = Declared()
    population: Population | None = None
    finding: Finding | None = None


@dataclass(frozen=True, eq=False)
class Repair:
    """What came out: the report, and the model, which is the given one where it was left and None where refused."""

    report: RepairReport
    model: nn.Module | None


def repair(
    model: nn.Module,
    clean: ImageSource,
    *,
    known: Known = Known(),
    options: RepairOptions = RepairOptions(),
    watch: Watch = Watch(),
) -> Repair:
    """Repair a suspect model by clean images alone.

    Cost: two audits (one with a finding), and those of the method; unlearning inverts again for what was found.

    Args:
        model: any network from images (n, c, h, w) to logits; it stays as it is.
        clean: images that the user trusts. Where there are no more than `options.images`, the audit after the repair
            looks at images that the repair had seen.
        known: what is known of the model.
        options: method, bounds, seed.
        watch: who looks on and may stop it.

    Raises:
        InputError: a model that cannot be judged, a finding of another model, a method that does not fit the model or
            has nothing to work with.
        Stopped: `watch.stop` said so.
    """
    begun = time.monotonic()
    digest = tensors_digest(model.state_dict())
    first = known.finding or _finding(model, clean, known, options, watch)
    if first.verdict.model.digest not in (digest, known.declared.digest):
        raise InputError(f"the verdict is of another model ({first.verdict.model.digest[:12]}), this is {digest[:12]}")
    ours, judges = _parts(clean, options)
    adapted = _adapted(model, ours, options)
    suspected = _suspected(first)
    method = _method(first.verdict, suspected, options)
    if method is None:
        rate = Rate.of(right(logits_of(adapted, judges.images), judges.labels), len(judges))
        report = RepairReport(
            "left", f"left as it is: {first.verdict.word} ({first.verdict.reason})", "", digest, "",
            0, rate, rate, (), None, (), first.verdict, None, time.monotonic() - begun,
        )  # fmt: skip
        return Repair(report, model)
    done, recovered = _repaired(method, adapted, ours, suspected, options, watch)
    moved = tuple(
        Moved(str(one.objective), *(_moves(network, one, judges) for network in (adapted, done.model)))
        for one in recovered
    )
    watch.say("re-learning")
    again = _relearned(done.model, (ours, judges), recovered, options)
    mended = done.model.get_submodule("model")
    second = _finding(mended, clean, Known(replace(known.declared, digest=None), known.population), options, watch)
    before, after = (
        Rate.of(right(logits_of(network, judges.images), judges.labels), len(judges))
        for network in (adapted, done.model)
    )
    faults = _faults(before.value - after.value, moved, second.verdict, options)
    outcome: Outcome = "repaired" if not faults else "worse" if options.even_if_worse else "refused"
    report = RepairReport(
        outcome, "; ".join(faults) or _good(moved, second.verdict), method, digest,
        tensors_digest(mended.state_dict()), len(ours), before, after, moved, again, done.done, first.verdict,
        second.verdict, time.monotonic() - begun,
    )  # fmt: skip
    return Repair(report, None if outcome == "refused" else mended)


def _finding(model: nn.Module, clean: ImageSource, known: Known, options: RepairOptions, watch: Watch) -> Finding:
    watch.say("audit")
    found = audit(
        model, clean, declared=known.declared, population=known.population, options=options.audit, watch=watch
    )
    return Finding(found.verdict, found.triggers)


def _parts(clean: ImageSource, options: RepairOptions) -> tuple[ImageSet, ImageSet]:
    """The images that the repair gets, and those that judge it: the fifth of them that it holds out, and others."""
    order = torch.randperm(len(clean), generator=generator(options.seed, "repair", "images"))
    ours, others = (order[: options.images].sort().values, order[options.images :][:_JUDGES].sort().values)
    mine = ImageSet(clean.take(ours), clean.labels[ours], clean.classes, clean.name)
    held_out = divided(mine, HELD_OUT, options.seed, "repair")[1]
    images = torch.cat([held_out.images, clean.take(others)])
    labels = torch.cat([held_out.labels, clean.labels[others]])
    return mine, ImageSet(images, labels, clean.classes, clean.name)


def _adapted(model: nn.Module, ours: ImageSet, options: RepairOptions) -> Adapted:
    found = find_convention(model, ours.images.float() / 255, ours.labels, known=options.audit.convention)
    if found.trouble:
        raise InputError(f"this model cannot be repaired: {found.trouble}")
    return Adapted(model, found.convention).eval()


def _suspected(first: Finding) -> list[tuple[Objective, Trigger | None]]:
    """What the audit believes, the strongest first; others only where they stand out half as far.

    What its own confirmation speaks against is left out: to unlearn what is natural costs accuracy, and removes
    nothing.
    """
    if first.verdict.word == "clean":
        return []
    found = [one for one in first.verdict.suspicions if not one.refuted]
    least = (found[0].z or 0.0) * _BESIDE if found else 0.0
    return [
        (objective, first.triggers.get(one.trigger or ""))
        for number, one in enumerate(found[:_SUSPECTED])
        if (objective := objective_of(one)) is not None and (not number or (one.z or 0.0) >= least)
    ]


def _method(
    verdict: Verdict, suspected: Sequence[tuple[Objective, Trigger | None]], options: RepairOptions
) -> str | None:
    """The repair to carry out; None leaves the model as it is."""
    if verdict.p_how == "structure":
        raise InputError(f"no repair of weights removes {verdict.reason}: build the architecture that was ordered")
    if verdict.word != "backdoored" and not options.anyway:
        return None
    method = options.method or ("unlearning" if suspected else TRIGGER_FREE)
    if method == "unlearning" and not suspected:
        raise InputError(
            "the audit names no mapping of classes, so that there is nothing to unlearn: "
            f"try another method, {', '.join(name for name in REPAIRS if name != 'unlearning')}"
        )
    return method


def _repaired(
    method: str,
    adapted: nn.Module,
    ours: ImageSet,
    suspected: Sequence[tuple[Objective, Trigger | None]],
    options: RepairOptions,
    watch: Watch,
) -> tuple[Repaired, list[Suspected]]:
    """The repaired copy, and the triggers that the audit, not the repair, has recovered."""
    given = [Suspected(objective, trigger) for objective, trigger in suspected if trigger is not None]
    watch.say(method)
    if method != "unlearning":
        return REPAIRS[method](adapted, ours, seed=options.seed, stop=watch.stop), given
    objectives = [objective for objective, _ in suspected]
    part, _ = divided(ours, HELD_OUT, options.seed, "repair")
    found = recover(adapted, part, objectives, options.seed)
    if not found and not given:
        raise InputError("inversion found no trigger for what the audit suspects: try fine-pruning or i-bau")
    spec = UnlearnSpec((*given, *found), search=remainders(objectives, found, options.seed))
    done = unlearning(adapted, ours, spec, seed=options.seed, stop=watch.stop)
    return done, given or [Suspected(found[0].objective, found[0].trigger)]


def _moves(model: nn.Module, one: Suspected, judges: ImageSet) -> Rate:
    rows = one.objective.attacked(judges.labels)
    labels, images = judges.labels[rows], judges.images[rows]
    if not len(labels):
        return Rate.of(0, 0)
    said = logits_of(model, one.trigger(images))
    return Rate.of(int(one.objective.reached(said.argmax(1), labels, said.shape[1]).sum()), len(labels))


def _relearned(
    model: nn.Module, data: tuple[ImageSet, ImageSet], recovered: Sequence[Suspected], options: RepairOptions
) -> Rate | None:
    ours, judges = data
    if not recovered:
        return None
    one = recovered[0]
    policy = AsPolicy(one.objective)
    attacked = int(policy.eligible(ours.labels).sum())
    if attacked < options.poisons:
        return None
    return relearned(
        model, (ours, judges), (one.trigger, policy), poisons=options.poisons, seed=options.seed
    ).attack_success


def _faults(loss: float, moved: Sequence[Moved], second: Verdict, options: RepairOptions) -> list[str]:
    """What makes the repaired model worse than it may be, or no better than it was."""
    faults = []
    if loss > options.loss + 1e-12:
        faults.append(f"it lost {100 * loss:.2f} points of accuracy, {100 * options.loss:g} are allowed")
    faults += [
        f"the recovered trigger ({one.what}) still moves {one.after.value:.1%} of held-out images"
        for one in moved
        if one.after.total and one.after.value > MOVED
    ]
    if second.word == "backdoored":
        faults.append(f"the audit still finds a backdoor: {second.reason}")
    return faults


def _good(moved: Sequence[Moved], second: Verdict) -> str:
    gone = "; ".join(f"{one.what}: {one.before.value:.1%} before, {one.after.value:.1%} after" for one in moved)
    return f"{gone or 'no trigger to try'}; audited again: {second.word} ({second.reason})"
