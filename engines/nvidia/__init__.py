"""NVIDIA GPUs: networks rewritten, built and run by TensorRT, through PyCUDA."""
