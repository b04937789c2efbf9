"""The local model: a small GGUF file served by a real llama.cpp server on loopback."""
