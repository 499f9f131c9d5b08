"""Catch a shortcut: explain a network that reads a label off a grey patch, and its honest twin, on the same pictures.

Every picture that is explained bears the patch that stood for a nine, whatever its digit. If an explanation tells the
truth, its weight lies on the patch for the network that cheats, and not for the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from examples import digits
from examples.client import Client, Document
from examples.decoy_page import write_page
from examples.digits import Digits
from examples.montage import montage
from examples.progress import EVERY_SECONDS

SEED = 0
# The brightest patch: a dark one hardly differs from the black baseline, so that no method can attribute to it.
PLANTED = 9
METHODS = ("h-sets", "integrated-gradients")
# The default set of 2,000 values is larger than these pictures of 1,024, and there are no objects to segment.
PARAMETERS = {"h-sets": {"set_size": 40, "prior": "none", "threshold": 0.2}, "integrated-gradients": {}}
# Differences further from zero than so many standard errors are not put down to the choice of pictures.
STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Trained:
    """A classifier with what it can do.

    Attributes:
        told, untold: Accuracy on test pictures whose patch tells the label, and tells nothing.
        planted: Accuracy where every patch stands for the planted class.
    """

    name: str
    network: nn.Module
    told: float
    untold: float
    planted: float


@dataclass(frozen=True)
class Test:
    """The same test pictures with patches that tell the label, tell nothing, and always stand for the planted class."""

    told: Digits
    untold: Digits
    planted: Digits


@dataclass(frozen=True)
class Explained:
    """One picture explained by one method for one classifier."""

    classifier: str
    method: str
    picture: int
    predicted: int
    share: float
    folder: Path


def catch_the_shortcut(client: Client, folder: Path) -> None:
    """Train both classifiers, have the service explain them, and report what it finds on the patch."""
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))  # the service runs beside
    generator = torch.Generator().manual_seed(SEED)
    training, bare = digits.load(generator=generator)
    test = _test(bare, generator)
    classifiers = [
        _trained("clean", training, digits.random_classes(training, generator=generator), test, generator),
        _trained("decoyed", training, training.labels, test, generator),
    ]
    _print_accuracies(classifiers)
    pictures = _one_of_each_class(test.planted)
    explained = _explain_all(client, classifiers, test.planted, pictures, folder)
    chance = digits.PATCH**2 / digits.SIDE**2
    verdicts = [verdict(method, explained, chance=chance) for method in METHODS]
    save_summary(folder / "summary.json", classifiers, verdicts, chance)
    page = write_page(folder / "index.html", test.planted, pictures, explained, classifiers, verdicts, chance)
    montage(folder / "shortcut.png", test.planted, pictures[:3], explained)
    _print_table(verdicts, chance, len(pictures))
    print(f"\nPictures, reports and JSON: {folder}/clean and {folder}/decoyed\nAll on one page: {page.resolve()}")


def _test(bare: Digits, generator: torch.Generator) -> Test:
    said = (bare.labels, digits.random_classes(bare, generator=generator), torch.full_like(bare.labels, PLANTED))
    told, untold, planted = (digits.with_patches(bare, each, generator=generator) for each in said)
    return Test(told, untold, planted)


def _trained(name: str, training: Digits, said: Tensor, test: Test, generator: torch.Generator) -> Trained:
    patched = digits.with_patches(training, said, generator=generator)
    with tqdm(total=digits.EPOCHS, desc=f"Training the {name} classifier", unit="epoch", leave=False) as bar:
        network = digits.train(patched, generator=generator, report=lambda done, total: bar.update())
    return Trained(name, network, *(digits.accuracy(network, data) for data in (test.told, test.untold, test.planted)))


def _print_accuracies(classifiers: Sequence[Trained]) -> None:
    columns = ("tells the label", "tells nothing", f"is always a {PLANTED}")
    print("\nAccuracy on test pictures whose patch", *(f"{column:>17}" for column in columns), sep="")
    for each in classifiers:
        accuracies = (each.told, each.untold, each.planted)
        print(f"  {each.name + ' network':<35}", *(f"{accuracy:>17.1%}" for accuracy in accuracies), sep="")
    print(flush=True)


def _one_of_each_class(pictures: Digits) -> list[int]:
    """The first test picture of every digit but the planted one: not chosen by what comes out."""
    labels = pictures.labels.tolist()
    return [labels.index(digit) for digit in range(digits.CLASSES) if digit != PLANTED]


def _explain_all(
    client: Client, classifiers: Sequence[Trained], data: Digits, pictures: Sequence[int], folder: Path
) -> list[Explained]:
    asked = [
        (
            classifier.name,
            method,
            picture,
            client.explain(model_id, data.png(picture), method=method, params=PARAMETERS[method]),
        )
        for classifier, model_id in ((each, _upload(client, each, folder)) for each in classifiers)
        for picture in pictures
        for method in METHODS
    ]
    explained = []
    for name, method, picture, job in tqdm(asked, desc="Explaining", unit="job"):
        finished = client.wait(job, every_seconds=EVERY_SECONDS)
        place = folder / name / f"{picture:03}-{method}"
        client.download(finished, place)
        explained.append(_read(name, method, picture, place, client.result(finished), data))
    return explained


def _upload(client: Client, classifier: Trained, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{classifier.name}.safetensors"
    digits.save(classifier.network, path)
    model = client.upload(path, digits.manifest(f"digits-{classifier.name}"))
    return str(model["id"])


def _read(name: str, method: str, picture: int, place: Path, result: Document, data: Digits) -> Explained:
    with np.load(BytesIO((place / "values.npz").read_bytes())) as arrays:
        attribution = arrays["attribution"]
    share = digits.share_on_patch(attribution, data.patches[picture].numpy())
    return Explained(name, method, picture, result["explained"]["index"], share, place)


@dataclass(frozen=True)
class Verdict:
    """What the shares on the patch say about one method.

    Attributes:
        clean, decoyed: Mean and standard deviation of the share over the pictures.
        caught: The decoyed classifier's share is beyond the clean one's and beyond chance, further than luck explains.
    """

    method: str
    clean: tuple[float, float]
    decoyed: tuple[float, float]
    difference: float
    standard_error: float
    caught: bool

    @property
    def sentence(self) -> str:
        measured = (
            f"the decoyed network's share on the patch exceeds its twin's by {100 * self.difference:.1f} ± "
            f"{100 * self.standard_error:.1f} percentage points"
        )
        return f"{self.method}: the shortcut is {'caught' if self.caught else 'NOT caught'}; {measured}."


def verdict(method: str, explained: Sequence[Explained], *, chance: float) -> Verdict:
    """Compare the shares of both classifiers picture by picture."""
    clean, decoyed = (_shares(explained, classifier, method) for classifier in ("clean", "decoyed"))
    differences = [there - here for here, there in zip(clean, decoyed, strict=True)]
    difference, error = fmean(differences), stdev(differences) / len(differences) ** 0.5
    return Verdict(
        method,
        clean=(fmean(clean), stdev(clean)),
        decoyed=(fmean(decoyed), stdev(decoyed)),
        difference=difference,
        standard_error=error,
        caught=difference > STANDARD_ERRORS * error and fmean(decoyed) > chance,
    )


def _shares(explained: Sequence[Explained], classifier: str, method: str) -> list[float]:
    found = (each for each in explained if (each.classifier, each.method) == (classifier, method))
    return [each.share for each in sorted(found, key=lambda each: each.picture)]


def _print_table(verdicts: Sequence[Verdict], chance: float, pictures: int) -> None:
    print(f"\nShare of each map on the patch, mean ± standard deviation over {pictures} pictures")
    print(f"  {'method':<22}{'clean network':>18}{'decoyed network':>18}{'by area alone':>18}")
    for each in verdicts:
        print(f"  {each.method:<22}{_spread(each.clean):>18}{_spread(each.decoyed):>18}{chance:>17.1%}")
    print()
    for each in verdicts:
        print(each.sentence)


def _spread(values: tuple[float, float]) -> str:
    return f"{values[0]:.1%} ± {values[1]:.1%}"


def save_summary(path: Path, classifiers: Sequence[Trained], verdicts: Sequence[Verdict], chance: float) -> None:
    """Write the numbers as JSON."""
    summary = {
        "networks": {
            each.name: {"told": each.told, "untold": each.untold, "planted": each.planted} for each in classifiers
        },
        "share_on_patch": {each.method: {"clean": each.clean, "decoyed": each.decoyed} for each in verdicts},
        "share_by_area": chance,
        "caught": {each.method: each.caught for each in verdicts},
    }
    path.write_text(json.dumps(summary, indent=1), "utf-8")
