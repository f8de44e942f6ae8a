"""`badnets poison`, `train` and `evaluate`: one data set, one model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import print_json, print_table, say
from badnets.cli.parsing import POLICY_HELP, TRIGGER_HELP, parse_policy, parse_trigger
from badnets.errors import InputError

if TYPE_CHECKING:
    from badnets.data import ImageSet, Split
    from badnets.poison import AnyPolicy, PoisonPlan, TrainingSet
    from badnets.training import Card
    from badnets.triggers import AnyTrigger

    _Attack = tuple[AnyTrigger | None, AnyPolicy | None]

DataName = Annotated[str, typer.Option("--data", help="A name from `badnets data list`, or folder:PATH.")]


def poison(
    out: Annotated[Path, typer.Option(help="Folder for the poisoned set.")],
    policy: Annotated[str, typer.Option(help=POLICY_HELP)],
    trigger: Annotated[str, typer.Option(help=TRIGGER_HELP)] = "pattern",
    data: DataName = "digits",
    rate: Annotated[float, typer.Option(help="Share of the attacked images to poison, in (0, 1].")] = 0.1,
    cover: Annotated[float, typer.Option(help="Share of the other images to stamp under their true label.")] = 0.0,
    copies: Annotated[int, typer.Option(help="How often each stamped copy is added, in mode add.")] = 1,
    mode: Annotated[
        str, typer.Option(help="add: stamped copies beside all clean images; replace: the images themselves.")
    ] = "add",
    seed: Annotated[int, typer.Option(help="Seed of the choice of images.")] = 0,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Also write a PNG for each image.")] = True,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Poison a training set and write it (npz, pictures, plan) without training anything."""
    from badnets import poison as room
    from badnets.data.export import write_npz, write_pictures
    from badnets.training import load_plan, save_plan
    from badnets.training.checkpoint import PLAN

    if mode not in ("add", "replace"):
        raise InputError(f"mode is add or replace, got {mode!r}")
    train = _load(data, data_dir).train
    recipe = room.Recipe(
        parse_policy(policy, train.classes), parse_trigger(trigger), rate=rate, cover_rate=cover, copies=copies,
        mode="add" if mode == "add" else "replace", seed=seed,
    )  # fmt: skip
    plan = room.plan(train, recipe)
    samples, poisoned = room.overlay(train, plan), room.apply(train, plan)
    if (out / PLAN).exists() and load_plan(out) != plan:
        raise InputError(f"{out} holds another plan and its pictures: name another folder with --out")
    save_plan(out, plan)
    write_npz(out / "poisoned.npz", poisoned, samples.rows.numpy(), samples.stamped.numpy())
    if images:
        write_pictures(out / "images", poisoned)
    summary = {
        "out": out, "images": len(poisoned), "falsely_labelled": plan.false_samples, "covered": plan.covered,
        "poisoned_share": plan.poisoned_share, "plan": plan.digest, "digest": poisoned.digest,
    }  # fmt: skip
    if json:
        print_json(summary)
        return
    attacked = int(recipe.policy.eligible(train.labels).sum())
    say(
        f"{len(poisoned):,} images; falsely labelled {plan.poisoned:,} of {attacked:,} attacked ones "
        f"({plan.poisoned_share:.2%} of all), stamped under their true label {plan.covered:,} of "
        f"{len(train) - attacked:,} others; plan {plan.digest[:16]}..."
    )
    typer.echo(out)


def train(
    out: Annotated[Path, typer.Option(help="Folder for the model; a run that was cut off goes on there.")],
    data: DataName = "digits",
    plan: Annotated[
        Path | None, typer.Option(help="A plan that `badnets poison` wrote: the model gets its backdoor.")
    ] = None,
    threat: Annotated[
        str,
        typer.Option(help="trainer: stamps go on after augmentation; data: the poisoned files are trained on"),
    ] = "trainer",
    start: Annotated[Path | None, typer.Option(help="Folder of a finished model to train on from.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="The largest learning rate of the one-cycle schedule.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads; one is fastest for small networks on busy cores.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Train the paper's network on clean or poisoned data; stopped or killed, the same command goes on."""
    from badnets.cli.watching import Watcher, stop_on_interrupt
    from badnets.models import ModelSpec, build
    from badnets.training import Session, TrainSpec, fit, load_model, load_plan

    spec = TrainSpec(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    split = _load(data, data_dir)
    made = load_plan(plan) if plan else None
    samples = _samples(split, made, threat)
    wanted = ModelSpec.fitting(split.train)
    if start is None:
        model = build(wanted, seed=seed)
    else:
        model, card = load_model(start)
        if card.job.model != wanted:
            raise InputError(f"{start} is a {card.job.model}, but {data} needs a {wanted}")
    with stop_on_interrupt() as flag, Watcher() as watcher:
        session = Session(out, device=device, threads=threads, on_progress=watcher.progress, stop=flag)
        found = fit(model, samples, spec, seed=seed, session=session)
    if json:
        print_json(found.card)
        return
    machine = found.card.job.machine
    say(
        f"trained on {len(samples):,} samples in {found.card.seconds:.0f} s "
        f"({machine.device}, {machine.threads} thread(s), {machine.precision}); loss {found.card.loss:.4f}"
    )
    typer.echo(out)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a finished model.")],
    data: Annotated[
        str | None, typer.Option("--data", help="As for train; else the data set that the model's card names.")
    ] = None,
    trigger: Annotated[str | None, typer.Option(help=TRIGGER_HELP)] = None,
    policy: Annotated[str | None, typer.Option(help=POLICY_HELP)] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Clean error and attack success on the test set, with counts and 95 % intervals.

    Without --trigger and --policy, those of the plan that the model was trained with, if it lies beside it.
    """
    from badnets.metrics import evaluate as measure
    from badnets.training import limited_threads, load_model

    network, card = load_model(model)
    if (trigger is None) != (policy is None):
        raise InputError("an attack is measured with both --trigger and --policy")
    if trigger is not None and policy is not None:
        attack: _Attack = (parse_trigger(trigger), parse_policy(policy, card.classes))
    else:
        attack = _planned_attack(model, card)
    stamp, goal = attack
    test = _load(data or _data_of(card), data_dir).test
    _check_fits(model, card, test)
    with limited_threads(card.job.machine.threads):
        result = measure(network, test, stamp, goal)
    if json:
        print_json({"result": result, "trigger": stamp, "policy": goal, "data": test.name})
        return
    rows = [["clean error", str(result.clean_error)]]
    if result.attack_success is not None:
        rows += [
            ["attack success", str(result.attack_success)],
            ["backdoor error", str(result.backdoor_error)],
        ]
    if result.spill is not None:
        rows += [["spill: other classes, stamped, called wrongly", str(result.spill)]]
        rows += [["of these, called the target", str(result.spill_to_target)]]
    print_table(f"{model} on {test.name}", ["", "share [95 % interval] (count)"], rows)
    if stamp is None and card.job.inherited:
        say(f"its weights come from a model trained on poisoned data: plan {', '.join(card.job.inherited)}")
    if stamp is not None:
        # The pixels of a picture fill a page.
        words = re.sub("pixels='[^']*'", "pixels=...", repr(stamp))
        say(f"trigger {words}, policy {goal!r}")


def _data_of(card: Card) -> str:
    """The known data set that a model was trained on."""
    from badnets.data import DATASETS

    name = card.job.data_name.split("/")[0].split(" ")[0]
    if name not in DATASETS:
        raise InputError(f"this model was trained on {card.job.data_name}: say with --data what to test it on")
    return name


def _planned_attack(model: Path, card: Card) -> _Attack:
    """Trigger and policy of the plan that lies beside the model, if it is the one on its card."""
    from badnets.training import load_plan
    from badnets.training.checkpoint import PLAN

    folder = model if model.is_dir() else model.parent
    if card.job.plan is None or not (folder / PLAN).exists():
        return None, None
    made = load_plan(folder)
    if made.digest != card.job.plan:
        raise InputError(f"{folder / PLAN} is not the plan that the model was trained with: name --trigger, --policy")
    return made.recipe.trigger, made.recipe.policy


def _check_fits(model: Path, card: Card, test: ImageSet) -> None:
    from badnets.models import ModelSpec

    takes = card.job.model
    if isinstance(takes, ModelSpec) and takes != ModelSpec.fitting(test, takes.name):
        raise InputError(f"{model} takes {takes}, but {test} does not fit")
    if card.classes != test.classes:
        raise InputError(f"{model} knows classes {_few(card.classes)}, but {test.name} has {_few(test.classes)}")


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:6]) + (f" and {len(classes) - 6} more" if len(classes) > 6 else "")


def _load(name: str, data_dir: Path | None) -> Split:
    from badnets.data import load

    split = load(name, data_dir=data_dir)
    report_odd(split.train, split.test)
    return split


def _samples(split: Split, plan: PoisonPlan | None, threat: str) -> TrainingSet:
    from badnets.poison import DataPoisoner, MaliciousTrainer, TrainingSet

    if threat not in ("trainer", "data"):
        raise InputError(f"threat is trainer or data, got {threat!r}")
    if plan is None:
        return TrainingSet.of(split.train)
    attacker = MaliciousTrainer() if threat == "trainer" else DataPoisoner()
    return attacker.training_set(split.train, plan)
