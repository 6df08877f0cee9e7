#!/bin/sh
# Takes out of an environment what a server on CPU never uses: `sh slim.sh /app/.venv`. Runs while the image is built.
set -eu
packages=$(echo "$1"/lib/python3.*/site-packages)

# Debugging symbols of the two largest packages; others are patched in ways that strip does not survive.
find "$packages/torch" "$packages/vllm" -name '*.so*' -type f -exec strip --strip-unneeded {} +

# What compiles extensions against torch, and torch's own tests. There is no compiler in the image.
rm -rf "$packages/torch/include" "$packages/torch/test" "$packages/torch/share/cmake" "$packages"/torch/bin/*test*
find "$packages" -name '*.a' -type f -delete

# Tests that packages ship beside themselves.
for package in numpy scipy sklearn pandas onnx networkx sympy numba llvmlite; do
  [ -d "$packages/$package" ] || continue
  find "$packages/$package" -depth -type d -name tests -exec rm -rf {} +
done
