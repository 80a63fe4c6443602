#!/bin/sh
# Runs the tool's own checks, unless exactly these files passed them here with this toolchain: what they say does
# not depend on the server's code, which changes much more often.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"

all_files=$(cd "$here" && find . -path ./target -prune -o -type f -print | LC_ALL=C sort | while read -r file; do
  printf '%s\n' "$file"
  cat "$file"
done | fingerprint)
passed="$target_dir/passed-$all_files"
if [ -e "$passed" ]; then
  echo "argument-comment-lint is unchanged since it passed its own checks"
  exit 0
fi

[ -d "$target_dir" ] || echo "building argument-comment-lint in $target_dir (the first build takes minutes)" >&2
cd "$here"
forget_own_build
cargo fmt --check
cargo clippy --quiet --release --locked --all-targets --target-dir "$target_dir" -- -D warnings
cargo test --quiet --release --locked --target-dir "$target_dir"
: >"$passed"
