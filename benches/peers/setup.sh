#!/bin/sh
# Makes .venv in this folder with the peers in Python, for `cargo xtask bench-peers` and `bench-data`. Its counterpart
# scripts/setup-python.sh makes an environment of its own in the project's root for the scripts, golden files among them,
# where no other engines are; PyTorch is the same in both. Neither the build nor the tests need one of them.
# About 6 GB, nearly all of it PyTorch. Another interpreter: PYTHON=/path/to/python3.12 benches/peers/setup.sh
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $python is missing or older than 3.11; set PYTHON to a newer one" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv'; then
    echo "setup: $python has no venv module; on Debian: apt install python3-venv" >&2
    exit 1
fi
if ! command -v g++ >/dev/null; then
    echo "setup: without g++ torch.compile cannot be measured" >&2
fi

"$python" -m venv "$here/.venv"
"$here/.venv/bin/python" -m pip install --disable-pip-version-check --requirement "$here/requirements.txt"
"$here/.venv/bin/python" - <<'END'
import jax, onnxruntime, openvino, torch
print("ready: PyTorch", torch.__version__, "JAX", jax.__version__, "ONNX Runtime", onnxruntime.__version__,
      "OpenVINO", openvino.__version__)
END
