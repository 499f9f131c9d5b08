"""The demo: `make demo`, or `python -m examples.demo`.

Without options it trains two small digit classifiers, one of which learned to cheat, and lets the service catch it.
With --image it explains your own photograph with your own model.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from examples.client import Client, Refused
from examples.local_service import ServiceFailed, local_service
from examples.photograph import Unusable, explain_photograph, find_model, read_picture

FOLDER = Path(".demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        work = _plan(options)
        with _client(options) as client:
            work(client)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except (Refused, ServiceFailed, Unusable, httpx.TransportError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _plan(options: argparse.Namespace) -> Callable[[Client], None]:
    """Find out what to do with a client, and whether it can be done, before a service is started for it."""
    if options.image is None:
        from examples.decoys import catch_the_shortcut

        return partial(catch_the_shortcut, folder=options.out)
    return partial(explain_photograph, image=read_picture(options.image), upload=find_model(options), options=options)


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[Client]:
    """A client of the service at --server, or of one that is started for the demo and stopped after it."""
    if options.server:
        with Client(options.server) as client:
            yield client
        return
    print(f"Starting the service; its log is {options.out / 'service.log'}", flush=True)
    with local_service(options.out) as url, Client(url) as client:
        print(f"The service is ready on {url}", flush=True)
        try:
            yield client
        finally:
            print("\nStopping the service", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m examples.demo --image cat.jpg --architecture mobilenet_v3_large --weights DEFAULT",
    )
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where files go (default: .demo)")
    parser.add_argument("--server", metavar="URL", help="use a running service instead of starting one")
    own = parser.add_argument_group("your own photograph")
    own.add_argument("--image", type=Path, metavar="PATH", help="PNG, JPEG or WebP")
    own.add_argument(
        "--architecture", default="mobilenet_v3_large", metavar="NAME", help="any of torchvision's classifiers"
    )
    own.add_argument(
        "--weights", default="DEFAULT", metavar="NAME|PATH",
        help="one of torchvision's weights by name, which are downloaded, or a .safetensors or .pt file",
    )  # fmt: skip
    own.add_argument("--classes", type=Path, metavar="FILE", help="class names, one a line, for weights from a file")
    own.add_argument("--method", default="h-sets", metavar="ID", help="h-sets (default), integrated-gradients, …")
    own.add_argument("--preset", metavar="NAME", help="a preset of the method, such as paper or published")
    own.add_argument("--target", type=int, metavar="INDEX", help="class to explain (default: the predicted one)")
    own.add_argument("--params", type=_parameters, default={}, metavar="JSON", help="such as '{\"sets\": 3}'")
    return parser


def _parameters(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected JSON, got {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return value


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the service is stopped first
    sys.exit(main())
