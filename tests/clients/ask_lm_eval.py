"""What lm-eval's `local-completions` measures on a server; prints it as JSON.

Arguments: as of ask_openai, and pairs of context and continuation as JSON.
"""

from __future__ import annotations

import json
import sys

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

BASE, MODEL, _, _, PAIRS = sys.argv[1:6]


def main() -> None:
    pairs = json.loads(PAIRS)
    model = LocalCompletionsAPI(
        base_url=f"{BASE}/v1/completions", model=MODEL, num_concurrent=1, batch_size=2, max_retries=1, max_length=512
    )
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=number)
        for number, pair in enumerate(pairs)
    ]
    written = Instance(
        request_type="generate_until",
        doc={},
        arguments=("One, two, three,", {"until": ["\n", "five"], "max_gen_toks": 8}),
        idx=0,
    )
    told = {
        "tokenizer": model.tokenizer_backend,
        "end": model.eot_token_id,
        "scores": model.loglikelihood(asked, disable_tqdm=True),
        "text": model.generate_until([written], disable_tqdm=True)[0],
    }
    sys.stdout.write(json.dumps(told))


main()
