"""`python -m aquila.local.server`: the process that runs llama.cpp's OpenAI-compatible server for the local model."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

import xllamacpp

from aquila import supervisor
from aquila.errors import ConfigError

#: Requests answered at the same time; further ones wait in the server.
SLOTS = 4
#: Tokens of prompt and answer together, for each request.
SLOT_TOKENS = 4096
#: One core stays free for the clients. The threads wait for each other spinning: where they must share a core with
#: anybody, one thread less is several times faster.
THREADS = max(1, (os.cpu_count() or 2) - 1)


class LlamaServer:
    """llama.cpp's HTTP server on a free port of 127.0.0.1, on threads of this process.

    It has no way to stop but the end of the process.
    """

    def __init__(self, model: str, alias: str) -> None:
        self.model = model
        self.alias = alias
        self.server: xllamacpp.Server | None = None

    def start(self, lock: int) -> Mapping[str, Any]:
        """Load the model and listen. The key is new each time and told to nobody but the returned address.

        Raises:
            ConfigError: llama.cpp cannot load the model.
        """
        key = secrets.token_urlsafe(32)
        params = xllamacpp.CommonParams()
        params.model.path = self.model
        params.model_alias = {self.alias}
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [key]
        params.n_parallel = SLOTS
        params.n_ctx = SLOTS * SLOT_TOKENS
        params.cpuparams.n_threads = THREADS
        params.cpuparams_batch.n_threads = THREADS
        params.verbosity = 0
        try:
            self.server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigError(
                f"llama.cpp cannot load {self.model} ({error}); it may be damaged, too new or too large for this machine"
            ) from error
        return {"url": self.server.listening_address, "api_key": key, "model": self.model}

    def alive(self) -> bool:
        """Say yes: when the server dies, so does this process."""
        return True

    def stop(self) -> None:
        """Do nothing: the process ends next, and the server with it."""


def main() -> None:
    """Run the command."""
    parser = supervisor.arguments()
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--alias", required=True, help="the name requests give the model")
    options = parser.parse_args()
    supervisor.run(LlamaServer(options.model, options.alias), options.folder, options.linger)


if __name__ == "__main__":
    main()
