"""ONNX Runtime, on its CPU provider."""

import numpy as np
import onnxruntime
from measure import Measurement
from prepared import batch


def run(arguments) -> None:
    versions = {"onnxruntime": onnxruntime.__version__}
    measurement = Measurement(
        arguments.engine, arguments.workload, arguments.seconds, arguments.threads, versions
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    inputs = {"input": batch(arguments.workload)}

    def step() -> float:
        return float(np.ravel(session.run(["logits"], inputs)[0])[0])

    measurement.run(step)
