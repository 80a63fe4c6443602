#!/bin/sh
# Runs the lint, and builds it from source first if this source was not built yet.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"

if [ ! -x "$cached_lint" ]; then
  if ! command -v cargo >/dev/null 2>&1; then
    echo "argument-comment-lint is built by cargo: install it with https://rustup.rs" >&2
    exit 1
  fi
  echo "building argument-comment-lint in $target_dir (the first build takes minutes)" >&2
  forget_own_build
  cargo build --quiet --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$target_dir"
  # Under a name of its own first: another run may be starting the same binary.
  cp "$target_dir/release/argument-comment-lint" "$cached_lint.$$"
  mv "$cached_lint.$$" "$cached_lint"
fi

. "$here/arguments.sh"
exec "$cached_lint" "$@"
