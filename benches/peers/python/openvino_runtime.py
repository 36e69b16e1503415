"""OpenVINO, held to f32."""

import openvino
from measure import Measurement
from prepared import batch


def run(arguments) -> None:
    measurement = Measurement(
        arguments.engine, arguments.workload, arguments.seconds, arguments.threads, {"openvino": openvino.__version__}
    )
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": arguments.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # Without it, bfloat16 is used where the processor knows it.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    network = core.compile_model(core.read_model(arguments.model), "CPU", settings)
    request = network.create_infer_request()
    inputs = openvino.Tensor(batch(arguments.workload))

    def step() -> float:
        request.infer([inputs], share_inputs=True, share_outputs=True)
        return float(request.get_output_tensor(0).data.flat[0])

    measurement.run(step)
