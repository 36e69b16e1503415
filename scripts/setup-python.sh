#!/bin/sh
# Makes .venv in the project's root with what the scripts of this folder need: for whoever remakes golden files, example
# data or reference numbers, and for `cargo xtask goldens`. Its counterpart benches/peers/setup.sh makes an environment of
# its own for `cargo xtask bench-peers` and `bench-data`, where other engines are, whose versions need not fit those here;
# PyTorch is the same in both. Neither the build nor the tests need one of them.
# About 6 GB, nearly all of it PyTorch. Another interpreter: PYTHON=/path/to/python3.12 scripts/setup-python.sh
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup-python: $python is missing or older than 3.11; set PYTHON to a newer one" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv'; then
    echo "setup-python: $python has no venv module; on Debian: apt install python3-venv" >&2
    exit 1
fi

"$python" -m venv "$root/.venv"
"$root/.venv/bin/python" -m pip install --disable-pip-version-check \
    --requirement "$root/scripts/requirements.txt"
"$root/.venv/bin/python" -c 'import torch, sklearn, safetensors, PIL, pandas
print("ready: PyTorch", torch.__version__, "scikit-learn", sklearn.__version__)'
