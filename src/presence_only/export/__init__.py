"""What users take away from a trained run: ONNX, labels, a model card, an MLflow model."""
